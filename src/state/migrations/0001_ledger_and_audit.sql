-- What every release was, the first time its index verified; outlives the cached index.
CREATE TABLE ledger (
    repository       TEXT    NOT NULL,
    package          TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    outer_checksum   TEXT,
    inner_checksum   TEXT,
    published_at     INTEGER,           -- milliseconds since the epoch, as signed by upstream
    first_seen       INTEGER NOT NULL,  -- milliseconds since the epoch
    changed_at       INTEGER,           -- when a checksum change was accepted last
    refused_checksum TEXT,              -- a change that was refused and reported
    PRIMARY KEY (repository, package, version)
);

-- What happened that somebody may have to answer for.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,        -- milliseconds since the epoch
    action     TEXT    NOT NULL,
    repository TEXT    NOT NULL,
    package    TEXT,
    version    TEXT,
    detail     TEXT    NOT NULL
);

CREATE INDEX audit_by_subject ON audit (repository, package, at);
