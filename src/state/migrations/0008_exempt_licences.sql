-- Whether the licences of a release had been read and allowed when it was delivered: 1 or 0. Only then does a delivery excuse
-- a rule for licences. Nothing says so of deliveries before.
ALTER TABLE exemptions ADD COLUMN licences_known INTEGER NOT NULL DEFAULT 0;
