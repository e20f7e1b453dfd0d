-- Who may do what. Times are milliseconds since the epoch.
CREATE TABLE users (
    id             INTEGER PRIMARY KEY,
    name           TEXT    NOT NULL UNIQUE,
    full_name      TEXT,
    email          TEXT    UNIQUE,           -- lower case
    password       TEXT,                     -- argon2id, PHC text; none: a robot, which has keys alone
    administrator  INTEGER NOT NULL,
    deactivated_at INTEGER,
    totp_secret    TEXT,                     -- base32; set: a second factor is on
    totp_pending   TEXT,                     -- base32; shown to the user and not confirmed yet
    totp_step      INTEGER,                  -- the last step whose code was accepted
    totp_session   TEXT,                     -- by which session it was used
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
);

CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    TEXT    NOT NULL,                -- HMAC under the server secret
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE organizations (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE TABLE members (
    organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            TEXT    NOT NULL,        -- read, write, admin
    PRIMARY KEY (organization_id, user_id)
);

CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE keys (
    id              INTEGER PRIMARY KEY,
    user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,
    organization_id INTEGER REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    lookup          TEXT    NOT NULL UNIQUE, -- first half of the HMAC of the key under the server secret
    compared        TEXT    NOT NULL,        -- second half
    permissions     TEXT    NOT NULL,        -- JSON: [{"domain": …, "resource": …}]
    revoke_at       INTEGER,                 -- when it ends by itself
    revoked_at      INTEGER,                 -- when somebody ended it
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    used_at         INTEGER,
    used_from       TEXT,
    used_by         TEXT,
    CHECK ((user_id IS NULL) <> (organization_id IS NULL))
);

CREATE UNIQUE INDEX keys_of_user ON keys (user_id, name) WHERE revoked_at IS NULL AND user_id IS NOT NULL;
CREATE UNIQUE INDEX keys_of_organization ON keys (organization_id, name)
    WHERE revoked_at IS NULL AND organization_id IS NOT NULL;

-- Rights to read beyond those of members.
CREATE TABLE grants (
    id              INTEGER PRIMARY KEY,
    user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,
    organization_id INTEGER REFERENCES organizations (id) ON DELETE CASCADE,
    repository      TEXT    NOT NULL,
    pattern         TEXT    NOT NULL,        -- package names, with `*`
    created_at      INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (organization_id IS NULL))
);

CREATE UNIQUE INDEX grants_of_user ON grants (user_id, repository, pattern) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX grants_of_organization ON grants (organization_id, repository, pattern)
    WHERE organization_id IS NOT NULL;

-- What an OAuth client may do until it ends.
CREATE TABLE sessions (
    id              TEXT    PRIMARY KEY,
    user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,
    organization_id INTEGER REFERENCES organizations (id) ON DELETE CASCADE,
    key_id          INTEGER REFERENCES keys (id) ON DELETE CASCADE, -- the key it was exchanged for
    client          TEXT    NOT NULL,
    name            TEXT,
    scopes          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    used_at         INTEGER NOT NULL,        -- the last refresh
    expires_at      INTEGER NOT NULL,
    revoked_at      INTEGER,
    CHECK ((user_id IS NULL) <> (organization_id IS NULL))
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_key ON sessions (key_id);

CREATE TABLE access_tokens (
    id         TEXT    PRIMARY KEY,
    session    TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
);

CREATE INDEX access_tokens_by_session ON access_tokens (session);

CREATE TABLE refresh_tokens (
    hash        TEXT    PRIMARY KEY,         -- SHA-256, hexadecimal
    session     TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    replaced_at INTEGER                      -- kept until the session ends, so that its reuse is seen
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);

CREATE TABLE device_codes (
    hash       TEXT    PRIMARY KEY,          -- HMAC under the server secret
    user_code  TEXT    NOT NULL UNIQUE,
    client     TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,             -- asked for; after approval: granted
    name       TEXT,
    address    TEXT,
    status     TEXT    NOT NULL,             -- pending, approved, denied, used
    user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    polled_at  INTEGER
);

-- Whom or what a line is about, where it is no repository: `user:alice`, `org:acme`.
ALTER TABLE audit ADD COLUMN subject TEXT;

CREATE INDEX audit_by_account ON audit (subject, id);
