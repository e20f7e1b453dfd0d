-- What a view owes to lock files: one line for each release, with the checksum that it had. Times are milliseconds since
-- the epoch.
CREATE TABLE exemptions (
    view             TEXT NOT NULL,     -- key of the repository that was asked
    source           TEXT NOT NULL,     -- key of the repository that the release comes from
    package          TEXT NOT NULL,
    version          TEXT NOT NULL,
    checksum         TEXT NOT NULL,     -- SHA-256 of the whole tarball, hexadecimal; the inner one where no other is known
    delivered        INTEGER,           -- when it was first delivered
    advisory_since   INTEGER,           -- when an advisory first held it after that
    retirement_since INTEGER,           -- when its retirement first held it after that
    pinned           INTEGER,           -- when a lock file first pinned it
    pinned_until     INTEGER,           -- NULL: for ever
    pinned_by        TEXT,
    pin_reason       TEXT,
    PRIMARY KEY (view, source, package, version, checksum)
) WITHOUT ROWID;
