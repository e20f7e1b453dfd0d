-- When rules of the classes whose time is counted from now on first held a release that had been delivered: milliseconds since
-- the epoch.
ALTER TABLE exemptions ADD COLUMN cooldown_since INTEGER;
ALTER TABLE exemptions ADD COLUMN freeze_since INTEGER;
ALTER TABLE exemptions ADD COLUMN licences_since INTEGER;
