//! Stored API keys. A key is found by one half of its hash, and compared by the other half.

use std::net::IpAddr;

use super::audit::{Action, Actor, from_sql_time, sql_time};
use super::engine::{Row, sql, sql_as};
use super::{AccountError, DatabaseError, Lock, Owner, State, StateError, Writing, in_order};
use crate::clock::Timestamp;

/// A stored API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The row id.
    pub id: i64,
    /// The owner of the key.
    pub owner: Owner,
    /// The name, unique among the owner's active keys.
    pub name: String,
    /// The half of its hash that is compared.
    pub compared: String,
    /// The permissions as JSON: `[{"domain": …, "resource": …}]`.
    pub permissions: String,
    /// The time at which it expires.
    pub revoke_at: Option<Timestamp>,
    /// The time at which it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The time at which it was created.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// Its last use, accurate to some minutes.
    pub last_use: Option<LastUse>,
}

impl Key {
    /// Whether the key is active: neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.revoke_at.is_none_or(|end| now < end)
    }
}

/// A use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// The time of the use.
    pub at: Timestamp,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of the client.
    pub agent: Option<String>,
}

/// Keys that were revoked together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// The keys that were revoked on request, sorted by name.
    pub keys: Vec<Key>,
    /// The keys that were created with them, directly or indirectly, each with its owner as in the audit log:
    /// `org:acme`.
    pub heirs: Vec<(String, Key)>,
}

/// A key to create, already validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow<'a> {
    /// The owner of the key.
    pub owner: Owner,
    /// The owner's name as in the audit log: `user:alice`.
    pub subject: &'a str,
    /// The requested name.
    pub name: &'a str,
    /// The half of its hash that is used for the lookup.
    pub lookup: &'a str,
    /// The half that is compared.
    pub compared: &'a str,
    /// The permissions as JSON.
    pub permissions: &'a str,
    /// The time at which it expires at the latest. A key that is created with another key expires no later than that
    /// one.
    pub revoke_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, user_id, organization_id, name, compared, permissions, revoke_at, revoked_at, created_at, \
                       updated_at, used_at, used_from, used_by";

/// The condition for an owner's active keys; `$1` and `$2` are the columns of the owner, `$3` is the time.
const LIVE: &str = "(user_id = $1 OR organization_id = $2) AND revoked_at IS NULL \
                    AND (revoke_at IS NULL OR revoke_at > $3)";

impl State {
    /// Creates a key. If the owner has an active key of that name, the name gets the suffix `-2`, `-3` and so on. A key
    /// that is created with another key does not outlive it.
    pub async fn create_key(&self, now: Timestamp, new: &KeyRow<'_>, by: &Actor) -> Result<Key, AccountError> {
        const OPERATION: &str = "create a key";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            let ends = match by.key {
                Some(maker) => [new.revoke_at, writing.live_key(maker, now).await?.revoke_at].into_iter().flatten().min(),
                None => new.revoke_at,
            };
            // An expired key frees its name.
            let ended = sql("UPDATE keys SET revoked_at = revoke_at WHERE (user_id = $1 OR organization_id = $2) \
                 AND revoked_at IS NULL AND revoke_at <= $3");
            writing.run(ended.bind(new.owner.user()).bind(new.owner.organization()).bind(sql_time(now))).await?;
            let name = free_name(&mut writing, new, now).await?;
            let add = sql(
                "INSERT INTO keys (user_id, organization_id, name, lookup, compared, permissions, revoke_at, created_at, \
                 updated_at, made_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
            )
            .bind(new.owner.user())
            .bind(new.owner.organization())
            .bind(&name)
            .bind(new.lookup)
            .bind(new.compared)
            .bind(new.permissions)
            .bind(ends.map(sql_time))
            .bind(sql_time(now))
            .bind(by.key);
            writing.run(add).await?;
            let detail = format!("{name} {}", new.permissions);
            writing.line(now, (Action::KeyGenerate, new.subject, &detail), by).await?;
            let row = sql(format!("SELECT {COLUMNS} FROM keys WHERE lookup = $1"))
                .bind(new.lookup)
                .fetch_one(writing.connection())
                .await
                .and_then(|row| key(&row))
                .map_err(StateError::query(OPERATION))?;
            writing.commit().await?;
            Ok(row)
        })
        .await
    }

    /// The key with this lookup half of its hash, active or not.
    pub async fn key_by_lookup(&self, lookup: &str) -> Result<Option<Key>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM keys WHERE lookup = $1");
        let row = sql(query).bind(lookup).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(key).transpose()).map_err(StateError::query("read a key"))
    }

    /// The key with this row id, active or not.
    pub async fn key_of(&self, id: i64) -> Result<Option<Key>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM keys WHERE id = $1");
        let row = sql(query).bind(id).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(key).transpose()).map_err(StateError::query("read a key"))
    }

    /// The active keys of an owner, sorted by name.
    pub async fn keys(&self, owner: Owner, now: Timestamp) -> Result<Vec<Key>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM keys WHERE {LIVE} ORDER BY name");
        let rows =
            sql(query).bind(owner.user()).bind(owner.organization()).bind(sql_time(now)).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(key).collect()).map_err(StateError::query("read the keys of an account"))
    }

    /// Revokes the owner's active keys, all or the one with a name, with all keys that were created with them, directly
    /// or indirectly and for any owner, and with the tokens that were exchanged for any of these.
    pub async fn revoke_keys(
        &self,
        now: Timestamp,
        (owner, subject): (Owner, &str),
        name: Option<&str>,
        by: &Actor,
    ) -> Result<Revoked, StateError> {
        const OPERATION: &str = "revoke a key";
        self.writing(OPERATION, Lock::Accounts, |mut writing| async move {
            let query = format!(
                "WITH RECURSIVE ended (id) AS (SELECT id FROM keys WHERE {LIVE} AND ($4 IS NULL OR name = $4) \
                 UNION SELECT keys.id FROM keys JOIN ended ON keys.made_by = ended.id) \
                 SELECT {COLUMNS} FROM keys WHERE id IN (SELECT id FROM ended) AND revoked_at IS NULL \
                 AND (revoke_at IS NULL OR revoke_at > $3) ORDER BY name, id"
            );
            let ended: Vec<Key> = sql(query)
                .bind(owner.user())
                .bind(owner.organization())
                .bind(sql_time(now))
                .bind(name)
                .fetch_all(writing.connection())
                .await
                .and_then(|rows| rows.iter().map(key).collect())
                .map_err(StateError::query(OPERATION))?;
            let mut revoked = Revoked::default();
            for mut key in ended {
                let end = sql("UPDATE keys SET revoked_at = $2, updated_at = $2 WHERE id = $1");
                writing.run(end.bind(key.id).bind(sql_time(now))).await?;
                let sessions = sql("UPDATE sessions SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL");
                writing.run(sessions.bind(key.id).bind(sql_time(now))).await?;
                (key.revoked_at, key.updated_at) = (Some(now), now);
                if key.owner == owner && name.is_none_or(|name| key.name == name) {
                    writing.line(now, (Action::KeyRemove, subject, &key.name), by).await?;
                    revoked.keys.push(key);
                } else {
                    let owner = writing.subject(key.owner).await?;
                    let detail = format!("{}, because the key that created it was revoked", key.name);
                    writing.line(now, (Action::KeyRemove, &owner, &detail), by).await?;
                    revoked.heirs.push((owner, key));
                }
            }
            writing.commit().await?;
            Ok(revoked)
        })
        .await
    }

    /// Writes the last uses of keys; later uses that are already stored are kept.
    pub async fn keys_used(&self, uses: &[(i64, LastUse)]) -> Result<(), StateError> {
        self.writing("write the last use of keys", Lock::None, |mut writing| async move {
            for (id, last) in in_order(uses, |(id, _)| *id) {
                let query = sql("UPDATE keys SET used_at = $2, used_from = $3, used_by = $4 \
                                 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)")
                .bind(*id)
                .bind(sql_time(last.at))
                .bind(last.address.map(|address| address.to_string()))
                .bind(last.agent.as_deref());
                writing.run(query).await?;
            }
            writing.commit().await
        })
        .await
    }
}

impl Writing<'_> {
    /// The active key with which another one is created.
    async fn live_key(&mut self, id: i64, now: Timestamp) -> Result<Key, AccountError> {
        let wrap = StateError::query(self.operation);
        let query = format!("SELECT {COLUMNS} FROM keys WHERE id = $1");
        let row = sql(query).bind(id).fetch_optional(self.connection()).await;
        let found = row.and_then(|row| row.as_ref().map(key).transpose()).map_err(wrap)?;
        found.filter(|key| key.is_live(now)).ok_or(AccountError::MakerEnded)
    }
}

async fn free_name(writing: &mut Writing<'_>, new: &KeyRow<'_>, now: Timestamp) -> Result<String, StateError> {
    let query = format!("SELECT name FROM keys WHERE {LIVE}");
    let taken: Vec<(String,)> = sql_as(query)
        .bind(new.owner.user())
        .bind(new.owner.organization())
        .bind(sql_time(now))
        .fetch_all(writing.connection())
        .await
        .map_err(StateError::query("create a key"))?;
    let is_free = |name: &String| !taken.iter().any(|(other,)| other == name);
    let numbered = (2..).map(|number: u32| format!("{}-{number}", new.name));
    Ok(std::iter::once(new.name.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| new.name.to_owned()))
}

fn key(row: &Row) -> Result<Key, DatabaseError> {
    let address = row.try_get::<Option<String>>(11)?.and_then(|text| text.parse().ok());
    let agent = row.try_get(12)?;
    Ok(Key {
        id: row.try_get(0)?,
        owner: Owner::from_columns(row.try_get(1)?, row.try_get(2)?)?,
        name: row.try_get(3)?,
        compared: row.try_get(4)?,
        permissions: row.try_get(5)?,
        revoke_at: row.try_get::<Option<i64>>(6)?.map(from_sql_time),
        revoked_at: row.try_get::<Option<i64>>(7)?.map(from_sql_time),
        created_at: from_sql_time(row.try_get(8)?),
        updated_at: from_sql_time(row.try_get(9)?),
        last_use: row.try_get::<Option<i64>>(10)?.map(|at| LastUse { at: from_sql_time(at), address, agent }),
    })
}
