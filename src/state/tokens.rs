//! Stored OAuth sessions, with their access tokens and refresh tokens.

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql};
use super::{DatabaseError, Lock, Owner, State, StateError, Writing};
use crate::clock::Timestamp;

/// A session of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id: random text.
    pub id: String,
    /// The user or organization of the session.
    pub owner: Owner,
    /// The row id of the API key that was exchanged for it.
    pub key: Option<i64>,
    /// The id of the client.
    pub client: String,
    /// The name that the client reports.
    pub name: Option<String>,
    /// The permissions, as an OAuth scope.
    pub scopes: String,
    /// The time at which it began.
    pub created_at: Timestamp,
    /// The time at which it was last refreshed.
    pub used_at: Timestamp,
    /// The time at which it expires.
    pub expires_at: Timestamp,
    /// The time at which it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Session {
    /// Whether the session is active: neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// A session to begin, with its first tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow<'a> {
    /// The id: random text.
    pub id: &'a str,
    /// The owner, also as in the audit log: `user:alice`.
    pub owner: (Owner, &'a str),
    /// The row id of the API key that is exchanged for it.
    pub key: Option<i64>,
    /// The id of the client.
    pub client: &'a str,
    /// The name that the client reports.
    pub name: Option<&'a str>,
    /// The permissions, as an OAuth scope.
    pub scopes: &'a str,
    /// The time at which it expires.
    pub expires_at: Timestamp,
    /// The id and the expiry of the first access token.
    pub access: (&'a str, Timestamp),
    /// The hash of the first refresh token.
    pub refresh: Option<&'a str>,
    /// The largest number of such sessions of the owner; the least recently used ones end.
    pub most: Option<u32>,
}

/// The outcome of a token refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// No refresh token of this client has this hash.
    Unknown,
    /// The session has ended.
    Ended,
    /// The token was already used: somebody has a copy, so the session was ended.
    Reused,
    /// The token was replaced.
    Rotated(Session),
}

const COLUMNS: &str = "sessions.id, sessions.user_id, sessions.organization_id, sessions.key_id, sessions.client, \
                       sessions.name, sessions.scopes, sessions.created_at, sessions.used_at, sessions.expires_at, \
                       sessions.revoked_at";

impl State {
    /// Begins a session.
    pub async fn begin_session(&self, now: Timestamp, new: &SessionRow<'_>, by: &Actor) -> Result<(), StateError> {
        self.writing("begin a session", Lock::None, |mut writing| async move {
            begin(&mut writing, now, new, by).await?;
            writing.commit().await
        })
        .await
    }

    /// The session of an access token, and whether the token itself was revoked.
    pub async fn session_of_token(&self, access: &str) -> Result<Option<(Session, bool)>, StateError> {
        let query = format!(
            "SELECT {COLUMNS}, access_tokens.revoked_at IS NOT NULL FROM access_tokens \
             JOIN sessions ON sessions.id = access_tokens.session WHERE access_tokens.id = $1"
        );
        let row = sql(query).bind(access).fetch_optional(&self.pool).await;
        row.and_then(|row| row.map(|row| Ok((session(&row)?, row.try_get(11)?))).transpose())
            .map_err(StateError::query("read a token"))
    }

    /// Replaces a refresh token, and revokes the access tokens that were issued with it.
    pub async fn rotate(
        &self,
        now: Timestamp,
        (client, old, new): (&str, &str, &str),
        (access, access_end): (&str, Timestamp),
    ) -> Result<Rotation, StateError> {
        const OPERATION: &str = "replace a refresh token";
        let wrap = || StateError::query(OPERATION);
        self.writing(OPERATION, Lock::None, |mut writing| async move {
            let query = format!(
                "SELECT {COLUMNS}, refresh_tokens.replaced_at IS NOT NULL FROM refresh_tokens \
                 JOIN sessions ON sessions.id = refresh_tokens.session \
                 WHERE refresh_tokens.hash = $1 AND sessions.client = $2"
            );
            let found = sql(query)
                .bind(old)
                .bind(client)
                .fetch_optional(writing.connection())
                .await
                .and_then(|row| row.map(|row| Ok((session(&row)?, row.try_get::<bool>(11)?))).transpose())
                .map_err(wrap())?;
            let Some((mut session, replaced)) = found else { return Ok(Rotation::Unknown) };
            if !session.is_live(now) {
                return Ok(Rotation::Ended);
            }
            let at = sql_time(now);
            // Of several concurrent requests with the same token, only one succeeds.
            let replace = sql("UPDATE refresh_tokens SET replaced_at = $2 WHERE hash = $1 AND replaced_at IS NULL");
            if replaced || writing.run(replace.bind(old).bind(at)).await? == 0 {
                end(&mut writing, now, &session, "a refresh token was used twice", &Actor::default()).await?;
                writing.commit().await?;
                return Ok(Rotation::Reused);
            }
            session.used_at = now;
            let access_end = access_end.min(session.expires_at);
            let revoke = sql("UPDATE access_tokens SET revoked_at = $2 WHERE session = $1 AND revoked_at IS NULL");
            writing.run(revoke.bind(&session.id).bind(at)).await?;
            let used = sql("UPDATE sessions SET used_at = $2 WHERE id = $1");
            writing.run(used.bind(&session.id).bind(at)).await?;
            tokens(&mut writing, &session.id, (access, access_end), Some(new)).await?;
            writing.commit().await?;
            Ok(Rotation::Rotated(session))
        })
        .await
    }

    /// The session of a refresh token, used or not.
    pub async fn session_of_refresh(&self, hash: &str) -> Result<Option<Session>, StateError> {
        let query = format!(
            "SELECT {COLUMNS} FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session \
             WHERE refresh_tokens.hash = $1"
        );
        let row = sql(query).bind(hash).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(session).transpose()).map_err(StateError::query("read a session"))
    }

    /// The active sessions of an owner, the newest first.
    pub async fn sessions(&self, owner: Owner, now: Timestamp) -> Result<Vec<Session>, StateError> {
        let query = format!(
            "SELECT {COLUMNS} FROM sessions WHERE (user_id = $1 OR organization_id = $2) AND revoked_at IS NULL \
             AND expires_at > $3 ORDER BY created_at DESC, id"
        );
        let rows =
            sql(query).bind(owner.user()).bind(owner.organization()).bind(sql_time(now)).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(session).collect()).map_err(StateError::query("read the sessions"))
    }

    /// Ends a session and all its tokens, if it is still active.
    pub async fn end_session(
        &self,
        now: Timestamp,
        session: &Session,
        detail: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        self.writing("end a session", Lock::None, |mut writing| async move {
            end(&mut writing, now, session, detail, by).await?;
            writing.commit().await
        })
        .await
    }

    /// Deletes sessions and device codes that ended before `before`, and access tokens that expired before it; returns
    /// the number of rows.
    pub async fn purge_tokens(&self, before: Timestamp) -> Result<u64, StateError> {
        self.writing("remove ended sessions", Lock::None, |mut writing| async move {
            let mut removed = 0;
            for statement in [
                "DELETE FROM access_tokens WHERE expires_at < $1",
                "DELETE FROM sessions WHERE expires_at < $1 OR revoked_at < $1",
                "DELETE FROM device_codes WHERE expires_at < $1",
            ] {
                removed += writing.run(sql(statement).bind(sql_time(before))).await?;
            }
            writing.commit().await?;
            Ok(removed)
        })
        .await
    }
}

/// Begins a session in a transaction.
pub(super) async fn begin(
    writing: &mut Writing<'_>,
    now: Timestamp,
    new: &SessionRow<'_>,
    by: &Actor,
) -> Result<(), StateError> {
    let (owner, subject) = new.owner;
    let add =
        sql("INSERT INTO sessions (id, user_id, organization_id, key_id, client, name, scopes, created_at, used_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)")
        .bind(new.id)
        .bind(owner.user())
        .bind(owner.organization())
        .bind(new.key)
        .bind(new.client)
        .bind(new.name)
        .bind(new.scopes)
        .bind(sql_time(now))
        .bind(sql_time(new.expires_at));
    writing.run(add).await?;
    tokens(writing, new.id, new.access, new.refresh).await?;
    if let Some(most) = new.most {
        let end = sql(
            "UPDATE sessions SET revoked_at = $3 WHERE id IN (SELECT id FROM sessions WHERE (user_id = $1 OR organization_id = $2) \
             AND key_id IS NULL AND revoked_at IS NULL AND expires_at > $3 AND id <> $5 \
             ORDER BY used_at DESC, id LIMIT 9223372036854775807 OFFSET $4)",
        )
        .bind(owner.user())
        .bind(owner.organization())
        .bind(sql_time(now))
        .bind(most.saturating_sub(1))
        .bind(new.id);
        writing.run(end).await?;
    }
    let detail = format!("{} for {} ({})", new.id, new.name.unwrap_or(new.client), new.scopes);
    writing.line(now, (Action::SessionCreate, subject, &detail), by).await
}

async fn tokens(
    writing: &mut Writing<'_>,
    session: &str,
    (access, end): (&str, Timestamp),
    refresh: Option<&str>,
) -> Result<(), StateError> {
    let add = sql("INSERT INTO access_tokens (id, session, expires_at) VALUES ($1, $2, $3)");
    writing.run(add.bind(access).bind(session).bind(sql_time(end))).await?;
    if let Some(hash) = refresh {
        let add = sql("INSERT INTO refresh_tokens (hash, session) VALUES ($1, $2)");
        writing.run(add.bind(hash).bind(session)).await?;
    }
    Ok(())
}

async fn end(
    writing: &mut Writing<'_>,
    now: Timestamp,
    session: &Session,
    detail: &str,
    by: &Actor,
) -> Result<(), StateError> {
    let end = sql("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL");
    if writing.run(end.bind(&session.id).bind(sql_time(now))).await? == 0 {
        return Ok(());
    }
    let (subject, detail) = (writing.subject(session.owner).await?, format!("{}: {detail}", session.id));
    writing.line(now, (Action::SessionRevoke, &subject, &detail), by).await
}

fn session(row: &Row) -> Result<Session, DatabaseError> {
    Ok(Session {
        id: row.try_get(0)?,
        owner: Owner::from_columns(row.try_get(1)?, row.try_get(2)?)?,
        key: row.try_get(3)?,
        client: row.try_get(4)?,
        name: row.try_get(5)?,
        scopes: row.try_get(6)?,
        created_at: from_sql_time(row.try_get(7)?),
        used_at: from_sql_time(row.try_get(8)?),
        expires_at: from_sql_time(row.try_get(9)?),
        revoked_at: row.try_get::<Option<i64>>(10)?.map(from_sql_time),
    })
}
