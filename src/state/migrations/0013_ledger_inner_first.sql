-- Whether the inner checksum of a release was known before its outer one: then its file has to have both.
ALTER TABLE ledger ADD COLUMN inner_first BOOLEAN NOT NULL DEFAULT FALSE;
