-- What changes together, by name: `repo:KEY`, `view:KEY`, `accounts`. Whoever changes something of a topic locks its row first,
-- so of several processes one at a time does. SQLite has one writer and no rows here.
CREATE TABLE topics (
    name   TEXT    PRIMARY KEY,
    number INTEGER NOT NULL DEFAULT 0,   -- how many changes there were
    nonce  TEXT    NOT NULL DEFAULT ''   -- another one with each change
);
