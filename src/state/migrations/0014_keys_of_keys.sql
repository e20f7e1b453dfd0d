-- The key by which a key was made, or that was exchanged for the token by which it was made: both end together. Keys of
-- before have none.
ALTER TABLE keys ADD COLUMN made_by INTEGER REFERENCES keys (id) ON DELETE CASCADE;

CREATE INDEX keys_by_maker ON keys (made_by);

-- The sessions of a user who is shut out have ended.
UPDATE sessions SET revoked_at = (SELECT deactivated_at FROM users WHERE users.id = sessions.user_id)
    WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE deactivated_at IS NOT NULL);
