-- Who asked for which release, and what came of it: one line for each release, caller and outcome. Written together every
-- few seconds. Times are milliseconds since the epoch.
CREATE TABLE fetches (
    repository TEXT NOT NULL,     -- key of the repository that was asked
    package    TEXT NOT NULL,
    version    TEXT NOT NULL,
    outcome    TEXT NOT NULL,     -- delivered, held, would_hold
    rule       TEXT NOT NULL,     -- by which a policy holds it; empty where it was delivered
    actor      TEXT NOT NULL,     -- user:alice, org:acme; empty for nobody in particular
    credential TEXT NOT NULL,     -- key:NAME, password, token:ID; empty without one
    address    TEXT NOT NULL,     -- a range or an address, as fetch_log.addresses says; empty without one
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (package, version, repository, outcome, rule, actor, credential, address)
) WITHOUT ROWID;

CREATE INDEX fetches_by_last ON fetches (last);
CREATE INDEX fetches_by_outcome ON fetches (repository, outcome);
