-- An address that a user gave at sign-up, until an administrator confirms it. It identifies nobody, so several users may give the
-- same one. `email` holds confirmed addresses alone.
ALTER TABLE users ADD COLUMN unconfirmed_email TEXT;

-- Users who were made by somebody have a confirmed one; those who signed up have no actor in the audit log.
UPDATE users SET unconfirmed_email = email, email = NULL WHERE email IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM audit
    WHERE audit.action = 'user.create' AND audit.subject = 'user:' || users.name AND audit.actor IS NOT NULL
);

-- A name that occurs here is not given to whoever signs up.
CREATE INDEX releases_by_publisher ON releases (publisher);
