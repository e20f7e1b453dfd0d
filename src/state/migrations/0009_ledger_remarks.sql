-- What the index said last of each release beside its checksums: when it was published, whether it is retired, and its
-- advisories, as a registry's `Package` message with this one release. NULL: nobody has written that down.
ALTER TABLE ledger ADD COLUMN remark BLOB;
