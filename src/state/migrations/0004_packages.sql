-- What is published here. Times are milliseconds since the epoch, checksums hexadecimal, users named by their names: a
-- package outlives the account of whoever published it.
CREATE TABLE packages (
    id              INTEGER PRIMARY KEY,
    repository      TEXT    NOT NULL,        -- key in the configuration
    name            TEXT    NOT NULL,
    latest          INTEGER,                 -- the newest stable release, else the newest
    inserted_at     INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    docs_updated_at INTEGER,
    UNIQUE (repository, name)
);

CREATE TABLE releases (
    id              INTEGER PRIMARY KEY,
    package_id      INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    version         TEXT    NOT NULL,
    inner_checksum  TEXT    NOT NULL,
    outer_checksum  TEXT    NOT NULL,
    size            INTEGER NOT NULL,
    metadata        TEXT    NOT NULL,        -- JSON: what the package says of itself
    build_tools     TEXT    NOT NULL,        -- with a space before and behind each
    docs_checksum   TEXT,
    docs_size       INTEGER,
    retired_reason  TEXT,
    retired_message TEXT,
    publisher       TEXT,
    inserted_at     INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (package_id, version)
);

CREATE TABLE requirements (
    release_id  INTEGER NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
    package     TEXT    NOT NULL,
    requirement TEXT    NOT NULL,
    optional    INTEGER NOT NULL,
    app         TEXT    NOT NULL,
    repository  TEXT    NOT NULL,            -- key of the repository where it lives
    PRIMARY KEY (release_id, package)
);

CREATE INDEX requirements_by_package ON requirements (package, repository);

CREATE TABLE owners (
    package_id INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    username   TEXT    NOT NULL,
    level      TEXT    NOT NULL,             -- maintainer, full
    PRIMARY KEY (package_id, username)
);

CREATE INDEX owners_by_user ON owners (username);

-- Versions that were there and are not: nobody may bring other bytes under the same name.
CREATE TABLE tombstones (
    repository     TEXT    NOT NULL,
    package        TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    outer_checksum TEXT    NOT NULL,
    is_final       INTEGER NOT NULL,         -- removed by an administrator: not even the same bytes
    reason         TEXT    NOT NULL,
    removed_by     TEXT,
    removed_at     INTEGER NOT NULL,
    PRIMARY KEY (repository, package, version)
);
