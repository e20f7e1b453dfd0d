-- Packages whose sidecars are not known to be written since the last change of the package. A row is written in the transaction
-- of the change, and removed some time after the files are written.
CREATE TABLE owed_sidecars (
    repository TEXT    NOT NULL,        -- key in the configuration
    package    TEXT    NOT NULL,
    mark       INTEGER NOT NULL,        -- another one with each change
    PRIMARY KEY (repository, package)
);
