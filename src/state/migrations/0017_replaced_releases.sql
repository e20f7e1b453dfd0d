-- Since when a release has the tarball that it has; NULL: since it was published first (`inserted_at`).
ALTER TABLE releases ADD COLUMN published_at INTEGER;
