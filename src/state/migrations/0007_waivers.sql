-- Exceptions from the policy of a view, each with a reason and an end. Times are milliseconds since the epoch.
CREATE TABLE waivers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    view        TEXT NOT NULL,     -- key of the repository that the policy holds for
    package     TEXT NOT NULL,
    requirement TEXT,              -- NULL: all releases
    until       INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    given       INTEGER NOT NULL,
    given_by    TEXT,
    withdrawn   INTEGER            -- NULL: it was not
);

CREATE INDEX waivers_by_view ON waivers (view, until);
