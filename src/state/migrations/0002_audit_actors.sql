-- Who did it: an account, the credential it used, where from and with what.
ALTER TABLE audit ADD COLUMN actor      TEXT;
ALTER TABLE audit ADD COLUMN credential TEXT;
ALTER TABLE audit ADD COLUMN address    TEXT;
ALTER TABLE audit ADD COLUMN agent      TEXT;

CREATE INDEX audit_by_actor ON audit (actor, at);
