//! Users: people, and robots without a password.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::{AccountError, DatabaseError, Lock, State, StateError, Writing};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A user as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Row.
    pub id: i64,
    /// Lower case, unique for ever.
    pub name: String,
    /// What people call them.
    pub full_name: Option<String>,
    /// Lower case; confirmed by an administrator, so that it identifies the user.
    pub email: Option<String>,
    /// Lower case; what the user gave at sign-up, and nobody has confirmed.
    pub unconfirmed_email: Option<String>,
    /// The hash of the password; robots have none.
    pub password: Option<Secret>,
    /// Whether everything is allowed.
    pub administrator: bool,
    /// Since when they are shut out.
    pub deactivated_at: Option<Timestamp>,
    /// The secret of the second factor in base32, where it is on.
    pub totp: Option<Secret>,
    /// The secret that was shown last and is not confirmed.
    pub totp_pending: Option<Secret>,
    /// When they were made.
    pub created_at: Timestamp,
    /// When they were changed last.
    pub updated_at: Timestamp,
}

/// A user to be made. The text is checked already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow<'a> {
    /// Lower case.
    pub name: &'a str,
    /// What people call them.
    pub full_name: Option<&'a str>,
    /// Lower case.
    pub email: Option<&'a str>,
    /// The hash of the password.
    pub password: Option<&'a Secret>,
    /// Whether everything is allowed.
    pub administrator: bool,
    /// Whether the user makes the account without an administrator. Then the address is unconfirmed, and the name must
    /// be that of no owner and of no publisher.
    pub signs_up: bool,
}

const COLUMNS: &str = "id, name, full_name, email, password, administrator, deactivated_at, totp_secret, totp_pending, \
                       created_at, updated_at, unconfirmed_email";

impl State {
    /// Makes a user.
    pub async fn create_user(&self, now: Timestamp, new: &UserRow<'_>, by: &Actor) -> Result<User, AccountError> {
        const OPERATION: &str = "make a user";
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
            // Whatever belongs to one must not be the other's, and one name is used for both.
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
                UserRow { administrator: true, .. } => "made an administrator",
                _ => "made",
            };
            let subject = format!("user:{}", new.name);
            writing.line(now, (Action::UserCreate, &subject, detail), by).await?;
            writing.commit().await?;
            self.user(new.name).await?.ok_or(AccountError::UnknownUser)
        })
        .await
    }

    /// The user of a name, or of a confirmed e-mail address; both in lower case.
    pub async fn user(&self, name_or_email: &str) -> Result<Option<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users WHERE name = $1 OR email = $1");
        let row = sql(query).bind(name_or_email).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StateError::query("read a user"))
    }

    /// The user of a row.
    pub async fn user_of(&self, id: i64) -> Result<Option<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
        let row = sql(query).bind(id).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StateError::query("read a user"))
    }

    /// All users by name.
    pub async fn users(&self) -> Result<Vec<User>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM users ORDER BY name");
        let rows = sql(query).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(user).collect()).map_err(StateError::query("read the users"))
    }

    /// Writes a user's names, address and rank. An address that is written is a confirmed one.
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

    /// Sets the hash of a user's password, or takes it away, and ends the user's OAuth sessions.
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
                (format!("user:{}", user.name), if hash.is_some() { "password set" } else { "password taken away" });
            writing.line(now, (Action::PasswordUpdate, &subject, detail), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Shuts a user out, or lets them in again. Shut out, the user has no session any more, and no program that was let in
    /// gets one.
    pub async fn set_active(&self, now: Timestamp, user: &User, active: bool, by: &Actor) -> Result<(), AccountError> {
        let (action, detail) = match active {
            true => (Action::UserActivate, "let in again"),
            false => (Action::UserDeactivate, "shut out"),
        };
        self.writing("shut a user out", Lock::Accounts, |mut writing| async move {
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

    /// Keeps the secret of a second factor that its user has not confirmed yet.
    pub async fn begin_totp(&self, user: i64, secret: &Secret) -> Result<(), StateError> {
        const OPERATION: &str = "begin a second factor";
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            writing
                .run(sql("UPDATE users SET totp_pending = $2 WHERE id = $1").bind(user).bind(secret.expose()))
                .await?;
            writing.commit().await
        })
        .await
    }

    /// Turns a user's second factor on: the pending secret, the step of the code that confirmed it, and the hashes of
    /// new recovery codes.
    pub async fn confirm_totp(
        &self,
        now: Timestamp,
        user: &User,
        step: i64,
        recovery: &[String],
        by: &Actor,
    ) -> Result<(), StateError> {
        const OPERATION: &str = "turn a second factor on";
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
            writing.line(now, (Action::SecurityUpdate, &subject, "second factor turned on"), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Turns a user's second factor off.
    pub async fn disable_totp(&self, now: Timestamp, user: &User, by: &Actor) -> Result<(), StateError> {
        const OPERATION: &str = "turn a second factor off";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            for statement in [
                "UPDATE users SET totp_secret = NULL, totp_pending = NULL, totp_step = NULL, totp_session = NULL WHERE id = $1",
                "DELETE FROM recovery_codes WHERE user_id = $1",
            ] {
                writing.run(sql(statement).bind(user.id)).await?;
            }
            let subject = format!("user:{}", user.name);
            writing.line(now, (Action::SecurityDisable, &subject, "second factor turned off"), by).await?;
            writing.commit().await
        })
        .await
    }

    /// Takes the code of a step for used by `session`; false where that step, or a later one, was used by another.
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

    /// Uses up a recovery code; false where there is none of this hash.
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
    /// Whether a user of this name owns a package of any repository, or has published a release.
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

    /// Refuses where this user is an administrator who is let in, and there is no other.
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
    if user.administrator { "changed; an administrator" } else { "changed; no administrator" }
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
