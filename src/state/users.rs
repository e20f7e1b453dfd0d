//! Stored users: people, and robots without a password.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::{AccountError, DatabaseError, Lock, State, StateError, Writing};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The row id.
    pub id: i64,
    /// The name in lower case; it is never reused.
    pub name: String,
    /// The display name.
    pub full_name: Option<String>,
    /// The email address in lower case. It was confirmed by an administrator, so it identifies the user.
    pub email: Option<String>,
    /// The unconfirmed email address from the sign-up, in lower case.
    pub unconfirmed_email: Option<String>,
    /// The hash of the password; `None` for robots.
    pub password: Option<Secret>,
    /// Whether the user is an administrator.
    pub administrator: bool,
    /// The time at which the user was deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// The secret of the second factor in base32, if it is enabled.
    pub totp: Option<Secret>,
    /// The last secret that was shown but not confirmed.
    pub totp_pending: Option<Secret>,
    /// The time at which the user was created.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// A user to create, already validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow<'a> {
    /// The name in lower case.
    pub name: &'a str,
    /// The display name.
    pub full_name: Option<&'a str>,
    /// The email address in lower case.
    pub email: Option<&'a str>,
    /// The hash of the password.
    pub password: Option<&'a Secret>,
    /// Whether the user is an administrator.
    pub administrator: bool,
    /// Whether the user signs up without an administrator. Then the address is unconfirmed, and the name must not be
    /// the one of an owner or a publisher.
    pub signs_up: bool,
}

const COLUMNS: &str = "id, name, full_name, email, password, administrator, deactivated_at, totp_secret, totp_pending, \
                       created_at, updated_at, unconfirmed_email";

impl State {
    /// Creates a user.
    pub async fn create_user(&self, now: Timestamp, new: &UserRow<'_>, by: &Actor) -> Result<User, AccountError> {
        const OPERATION: &str = "create a user";
        let wrap = || StateError::query(OPERATION);
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            let (email, unconfirmed) = if new.signs_up { (None, new.email) } else { (new.email, None) };
            let taken: Option<(bool, bool)> = sql_as(
                "SELECT max(CASE WHEN name = $1 THEN 1 ELSE 0 END) = 1, max(CASE WHEN email = $2 THEN 1 ELSE 0 END) = 1 \
                 FROM users WHERE name = $1 OR email = $2 HAVING count(*) > 0",
            )
            .bind(new.name)
            .bind(email)
            .fetch_optional(writing.connection())
            .await
            .map_err(wrap())?;
            match taken {
                Some((true, _)) => return Err(AccountError::NameTaken),
                Some((false, _)) => return Err(AccountError::EmailTaken),
                None => {}
            }
            // A name identifies either a user or an organization, so that neither gets the access of the other.
            let organization: Option<(i64,)> = sql_as("SELECT id FROM organizations WHERE name = $1")
                .bind(new.name)
                .fetch_optional(writing.connection())
                .await
                .map_err(wrap())?;
            if organization.is_some() || new.signs_up && writing.is_named_in_packages(new.name).await? {
                return Err(AccountError::NameTaken);
            }
            writing
                .run(
                    sql("INSERT INTO users (name, full_name, email, password, administrator, created_at, updated_at, \
                 unconfirmed_email) VALUES ($1, $2, $3, $4, $5, $6, $6, $7)")
                    .bind(new.name)
                    .bind(new.full_name)
                    .bind(email)
                    .bind(new.password.map(Secret::expose))
                    .bind(new.administrator)
                    .bind(sql_time(now))
                    .bind(unconfirmed),
                )
                .await?;
            let detail = match new {
                UserRow { signs_up: true, .. } => "signed up",
                UserRow { administrator: true, .. } => "created as an administrator",
                _ => "created",
            };
            let subject = format!("user:{}", new.name);
            writing.line(now, (Action::UserCreate, &subject, detail), by).await?;
            writing.commit().await?;
            self.user(new.name).await?.ok_or(AccountError::UnknownUser)
        })
        .await
    }

    /// The user with this name or confirmed e-mail address, both in lower case.
    pub async fn user(&self, name_or_email: &str) -> Result<Option<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users WHERE name = $1 OR email = $1");
        let row = sql(query).bind(name_or_email).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StateError::query("read a user"))
    }

    /// The user with this row id.
    pub async fn user_of(&self, id: i64) -> Result<Option<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
        let row = sql(query).bind(id).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StateError::query("read a user"))
    }

    /// All users, sorted by name.
    pub async fn users(&self) -> Result<Vec<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users ORDER BY name");
        let rows = sql(query).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(user).collect()).map_err(StateError::query("read the users"))
    }

    /// Writes a user's names, address and role. The address counts as confirmed.
    pub async fn update_user(&self, now: Timestamp, user: &User, by: &Actor) -> Result<(), AccountError> {
        const OPERATION: &str = "change a user";
        let wrap = || StateError::query(OPERATION);
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            let other: Option<(i64,)> = sql_as("SELECT id FROM users WHERE email = $1 AND id <> $2")
                .bind(user.email.as_deref())
                .bind(user.id)
                .fetch_optional(writing.connection())
                .await
                .map_err(wrap())?;
            if other.is_some() {
                return Err(AccountError::EmailTaken);
            }
            if !user.administrator {
                writing.keep_an_administrator(user.id).await?;
            }
            writing
                .run(
                    sql("UPDATE users SET full_name = $2, email = $3, administrator = $4, updated_at = $5, \
                 unconfirmed_email = CASE WHEN $3 IS NULL THEN unconfirmed_email END WHERE id = $1")
                    .bind(user.id)
                    .bind(user.full_name.as_deref())
                    .bind(user.email.as_deref())
                    .bind(user.administrator)
                    .bind(sql_time(now)),
                )
                .await?;
            let (subject, detail) = (format!("user:{}", user.name), rank(user));
            writing.line(now, (Action::UserUpdate, &subject, detail), by).await?;
            Ok(writing.commit().await?)
        })
        .await
    }

    /// Sets or removes the hash of a user's password, and ends the user's OAuth sessions.
    pub async fn set_password(
        &self,
        now: Timestamp,
        user: &User,
        hash: Option<&Secret>,
        by: &Actor,
    ) -> Result<(), StateError> {
        const OPERATION: &str = "set a password";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            writing
                .run(
                    sql("UPDATE users SET password = $2, updated_at = $3 WHERE id = $1")
                        .bind(user.id)
                        .bind(hash.map(Secret::expose))
                        .bind(sql_time(now)),
                )
                .await?;
            writing
                .run(
                    sql("UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND key_id IS NULL AND revoked_at IS NULL")
                        .bind(user.id)
                        .bind(sql_time(now)),
                )
                .await?;
            let (subject, detail) =
                (format!("user:{}", user.name), if hash.is_some() { "password set" } else { "password removed" });
            writing.line(now, (Action::PasswordUpdate, &subject, detail), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Deactivates or reactivates a user. Deactivation ends all sessions, and programs that were approved but have no
    /// token yet do not get one.
    pub async fn set_active(&self, now: Timestamp, user: &User, active: bool, by: &Actor) -> Result<(), AccountError> {
        let (action, detail) = match active {
            true => (Action::UserActivate, "reactivated"),
            false => (Action::UserDeactivate, "deactivated"),
        };
        self.writing("activate or deactivate a user", Lock::Accounts, |mut writing| async move {
            if !active {
                writing.keep_an_administrator(user.id).await?;
                for statement in [
                    "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
                    "UPDATE device_codes SET status = 'denied' WHERE user_id = $1 AND status = 'approved' AND expires_at > $2",
                ] {
                    writing.run(sql(statement).bind(user.id).bind(sql_time(now))).await?;
                }
            }
            let query = sql("UPDATE users SET deactivated_at = $2, updated_at = $3 WHERE id = $1")
                .bind(user.id)
                .bind((!active).then(|| sql_time(now)))
                .bind(sql_time(now));
            writing.run(query).await?;
            writing.line(now, (action, &format!("user:{}", user.name), detail), by).await?;
            Ok(writing.commit().await?)
        })
        .await
    }

    /// Stores the secret of a second factor that is not confirmed yet.
    pub async fn begin_totp(&self, user: i64, secret: &Secret) -> Result<(), StateError> {
        const OPERATION: &str = "set up a second factor";
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            writing
                .run(sql("UPDATE users SET totp_pending = $2 WHERE id = $1").bind(user).bind(secret.expose()))
                .await?;
            writing.commit().await
        })
        .await
    }

    /// Enables a user's second factor: stores the confirmed secret, the step of the code that confirmed it, and the
    /// hashes of new recovery codes.
    pub async fn confirm_totp(
        &self,
        now: Timestamp,
        user: &User,
        step: i64,
        recovery: &[String],
        by: &Actor,
    ) -> Result<(), StateError> {
        const OPERATION: &str = "enable a second factor";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            writing
                .run(
                    sql(
                        "UPDATE users SET totp_secret = $2, totp_pending = NULL, totp_step = $3, totp_session = NULL, \
                 updated_at = $4 WHERE id = $1",
                    )
                    .bind(user.id)
                    .bind(user.totp_pending.as_ref().map(Secret::expose))
                    .bind(step)
                    .bind(sql_time(now)),
                )
                .await?;
            writing.run(sql("DELETE FROM recovery_codes WHERE user_id = $1").bind(user.id)).await?;
            for hash in recovery {
                writing
                    .run(sql("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)").bind(user.id).bind(hash))
                    .await?;
            }
            let subject = format!("user:{}", user.name);
            writing.line(now, (Action::SecurityUpdate, &subject, "second factor enabled"), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Disables a user's second factor.
    pub async fn disable_totp(&self, now: Timestamp, user: &User, by: &Actor) -> Result<(), StateError> {
        const OPERATION: &str = "disable a second factor";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            for statement in [
                "UPDATE users SET totp_secret = NULL, totp_pending = NULL, totp_step = NULL, totp_session = NULL WHERE id = $1",
                "DELETE FROM recovery_codes WHERE user_id = $1",
            ] {
                writing.run(sql(statement).bind(user.id)).await?;
            }
            let subject = format!("user:{}", user.name);
            writing.line(now, (Action::SecurityDisable, &subject, "second factor disabled"), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Marks the code of a step as used by `session`; false if that step, or a later one, was used by another session.
    pub async fn accept_totp(&self, user: i64, step: i64, session: &str) -> Result<bool, StateError> {
        const OPERATION: &str = "use a code of a second factor";
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            let done = writing
                .run(
                    sql("UPDATE users SET totp_step = $2, totp_session = $3 WHERE id = $1 \
                 AND (totp_step IS NULL OR totp_step < $2 OR (totp_step = $2 AND totp_session = $3))")
                    .bind(user)
                    .bind(step)
                    .bind(session),
                )
                .await?;
            writing.commit().await?;
            Ok(done > 0)
        })
        .await
    }

    /// Uses a recovery code; false if the user has no code with this hash.
    pub async fn use_recovery_code(
        &self,
        now: Timestamp,
        user: &User,
        hash: &str,
        by: &Actor,
    ) -> Result<bool, StateError> {
        const OPERATION: &str = "use a recovery code";
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            let done = writing
                .run(sql("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2").bind(user.id).bind(hash))
                .await?;
            if done == 0 {
                return Ok(false);
            }
            let subject = format!("user:{}", user.name);
            writing.line(now, (Action::SecurityRecovery, &subject, "recovery code used"), by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

impl Writing<'_> {
    /// Whether a user of this name owns a package in any repository, or published a release.
    async fn is_named_in_packages(&mut self, name: &str) -> Result<bool, StateError> {
        let wrap = StateError::query(self.operation);
        let named: Result<(bool,), _> = sql_as(
            "SELECT EXISTS (SELECT 1 FROM owners WHERE username = $1) \
             OR EXISTS (SELECT 1 FROM releases WHERE publisher = $1)",
        )
        .bind(name)
        .fetch_one(self.connection())
        .await;
        named.map(|(named,)| named).map_err(wrap)
    }

    /// Refuses the change if this user is the only active administrator.
    async fn keep_an_administrator(&mut self, user: i64) -> Result<(), AccountError> {
        let wrap = StateError::query(self.operation);
        let (last,): (bool,) = sql_as(
            "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND administrator = 1 AND deactivated_at IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM users WHERE id <> $1 AND administrator = 1 AND deactivated_at IS NULL)",
        )
        .bind(user)
        .fetch_one(self.connection())
        .await
        .map_err(wrap)?;
        if last { Err(AccountError::LastAdministrator) } else { Ok(()) }
    }
}

fn rank(user: &User) -> &'static str {
    if user.administrator { "changed; is an administrator" } else { "changed; is not an administrator" }
}

fn user(row: &Row) -> Result<User, DatabaseError> {
    let secret = |text: Option<String>| text.map(Secret::new);
    Ok(User {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        full_name: row.try_get(2)?,
        email: row.try_get(3)?,
        password: secret(row.try_get(4)?),
        administrator: row.try_get(5)?,
        deactivated_at: row.try_get::<Option<i64>>(6)?.map(from_sql_time),
        totp: secret(row.try_get(7)?),
        totp_pending: secret(row.try_get(8)?),
        created_at: from_sql_time(row.try_get(9)?),
        updated_at: from_sql_time(row.try_get(10)?),
        unconfirmed_email: row.try_get(11)?,
    })
}
