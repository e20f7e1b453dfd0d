-- An account's sessions are looked for by either of two columns, so both have an index.
CREATE INDEX sessions_by_organization ON sessions (organization_id);
