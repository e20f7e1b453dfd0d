-- Names that a repository has had and that nothing else here has a line for: those of the signed lists of private remote
-- repositories, and of local packages of which no release is left. And those that an administrator gave back. A name is
-- claimed by a line here, by a package, a tombstone or a line of the ledger, unless its line here says that it is
-- forgotten. Times are milliseconds since the epoch.
CREATE TABLE claims (
    repository TEXT    NOT NULL,     -- key in the configuration
    name       TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    forgotten  INTEGER,              -- when it was given back; NULL: it was not
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;
