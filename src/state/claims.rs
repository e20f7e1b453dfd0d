//! Names that a repository has ever had: they stay claimed until an administrator gives them back.
//!
//! A name is claimed by what is written where it belongs: a package or a tombstone of a local repository, a line of the
//! ledger of a remote one. The table `claims` has the names of signed lists besides, and those that were given back. No list
//! says which policies a repository has: those that were seen are claimed beside the packages, as `policies/NAME`.
//!
//! Views ask for each request, so the names of a repository are read once, under the lock of the writer, and from then
//! on changed together with the tables: whoever commits a change tells the names in memory before the lock is given
//! back. One process has the database open, since the store is locked, and a command beside the daemon goes through the
//! daemon. So what is in memory is never older than what is on the disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::audit::{self, Action, Actor, from_sql_time, sql_time};
use super::engine::{sql, sql_as};
use super::package_snapshot::is_claimed;
use super::{Lock, State, StateError, Writing};
use crate::clock::Timestamp;

/// Before the name of a policy, where it stands among the names of packages, which have no slash.
const POLICY: &str = "policies/";

/// How the policy of this name is claimed.
pub fn of_policy(name: &str) -> String {
    format!("{POLICY}{name}")
}

/// The name of the policy that is claimed like this; `None`: it is a package that is.
pub fn as_policy(claimed: &str) -> Option<&str> {
    claimed.strip_prefix(POLICY)
}

/// The names that a repository claims.
#[derive(Debug)]
pub struct ClaimedNames {
    /// Another one for each time that names are read into memory.
    reading: u64,
    names: RwLock<Names>,
}

#[derive(Debug, Default)]
struct Names {
    since: HashMap<Arc<str>, Timestamp>,
    /// Every name that was claimed or given back since the names were read, in order.
    changes: Vec<Arc<str>>,
    /// Names that are claimed and could not be written.
    unwritten: BTreeSet<Arc<str>>,
}

/// How far the names of a repository have changed: two equal ones have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimsVersion {
    reading: u64,
    changes: usize,
}

impl ClaimsVersion {
    /// The same as bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let changes = u64::try_from(self.changes).unwrap_or(u64::MAX);
        [self.reading.to_be_bytes(), changes.to_be_bytes()].concat()
    }
}

impl ClaimedNames {
    fn new(since: HashMap<Arc<str>, Timestamp>) -> Self {
        static READINGS: AtomicU64 = AtomicU64::new(0);
        let names = Names { since, ..Names::default() };
        Self { reading: READINGS.fetch_add(1, Ordering::Relaxed), names: RwLock::new(names) }
    }

    /// Whether any package of them fits.
    pub fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.names.read().since.keys().any(|name| as_policy(name).is_none() && fits(name))
    }

    /// Whether a policy is claimed.
    pub fn has_policy(&self, name: &str) -> bool {
        self.has(&of_policy(name))
    }

    /// Whether the name of a package is claimed, or what [`of_policy`] makes of that of a policy.
    pub fn has(&self, name: &str) -> bool {
        self.names.read().since.contains_key(name)
    }

    /// Since when it is; `None`: it is not.
    pub fn since(&self, name: &str) -> Option<Timestamp> {
        self.names.read().since.get(name).copied()
    }

    /// How far they have changed.
    pub fn version(&self) -> ClaimsVersion {
        ClaimsVersion { reading: self.reading, changes: self.names.read().changes.len() }
    }

    /// The packages that were claimed or given back since a version; all of them where that is not one of these names'.
    pub fn changed_since(&self, version: ClaimsVersion) -> Vec<Arc<str>> {
        let names = self.names.read();
        let is_package = |name: &&Arc<str>| as_policy(name).is_none();
        match names.changes.get(version.changes..) {
            Some(changes) if version.reading == self.reading => changes.iter().filter(is_package).cloned().collect(),
            _ => names.since.keys().filter(is_package).cloned().collect(),
        }
    }

    fn add(&self, name: &str, since: Timestamp) {
        let mut names = self.names.write();
        names.unwritten.remove(name);
        if !names.since.contains_key(name) {
            let name: Arc<str> = name.into();
            names.since.insert(Arc::clone(&name), since);
            names.changes.push(name);
        }
    }

    fn add_unwritten(&self, name: &str, since: Timestamp) {
        self.add(name, since);
        self.names.write().unwritten.insert(name.into());
    }

    fn remove(&self, name: &str) {
        let mut names = self.names.write();
        names.unwritten.remove(name);
        if names.since.remove(name).is_some() {
            names.changes.push(name.into());
        }
    }

    /// Those of `names` that are not on the disk as claimed.
    fn missing<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let known = self.names.read();
        let is_new = |name: &&str| !known.since.contains_key(*name) || known.unwritten.contains(*name);
        names.into_iter().filter(is_new).collect()
    }
}

/// What became of a name that is to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgottenName {
    /// Others may have it.
    Done,
    /// The repository does not claim it.
    Unclaimed,
    /// There are releases of it.
    HasReleases,
}

/// The names in memory, by repository.
#[derive(Debug, Default)]
pub(super) struct ClaimIndex(RwLock<HashMap<String, Arc<ClaimedNames>>>);

/// What a transaction does to claims.
#[derive(Debug)]
pub(super) enum Change {
    /// A repository has a name.
    Claimed { repository: String, name: String, since: Timestamp },
    /// A name was given back.
    Forgotten { repository: String, name: String },
    /// Many names of a repository may be others.
    Anew { repository: String },
}

impl ClaimIndex {
    fn get(&self, repository: &str) -> Option<Arc<ClaimedNames>> {
        self.0.read().get(repository).map(Arc::clone)
    }

    /// Takes over what was committed; the caller holds the writer's lock. What is not in memory is read when it is needed.
    pub(super) fn apply(&self, change: &Change) {
        match change {
            Change::Claimed { repository, name, since } => {
                if let Some(names) = self.get(repository) {
                    names.add(name, *since);
                }
            }
            Change::Forgotten { repository, name } => {
                if let Some(names) = self.get(repository) {
                    names.remove(name);
                }
            }
            Change::Anew { repository } => drop(self.0.write().remove(repository)),
        }
    }
}

impl State {
    /// The names that a repository claims: from memory, after the first time.
    pub async fn claimed(&self, repository: &str) -> Result<Arc<ClaimedNames>, StateError> {
        if let Some(names) = self.books.get(repository) {
            return Ok(names);
        }
        // Nobody changes claims while they are read.
        let _one = self.writer.lock().await;
        if let Some(names) = self.books.get(repository) {
            return Ok(names);
        }
        let rows: Vec<(String, i64)> = sql_as(
            "SELECT name, min(since) FROM ( \
             SELECT name, since, forgotten FROM claims WHERE repository = $1 \
             UNION ALL SELECT name, inserted_at, NULL FROM packages WHERE repository = $1 \
             UNION ALL SELECT package, removed_at, NULL FROM tombstones WHERE repository = $1 \
             UNION ALL SELECT package, min(first_seen), NULL FROM ledger WHERE repository = $1 GROUP BY package \
             ) AS claimed GROUP BY name HAVING max(forgotten) IS NULL",
        )
        .bind(repository)
        .fetch_all(&self.pool)
        .await
        .map_err(StateError::query("read the claims of a repository"))?;
        let since = rows.into_iter().map(|(name, since)| (name.into(), from_sql_time(since))).collect();
        let names = Arc::new(ClaimedNames::new(since));
        self.books.0.write().insert(repository.to_owned(), Arc::clone(&names));
        Ok(names)
    }

    /// Claims names that a repository was just seen to have. Where they cannot be written, they are claimed in memory all
    /// the same, and written with the next ones.
    pub async fn claim<'a>(
        &self,
        repository: &str,
        names: impl IntoIterator<Item = &'a str>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let known = self.claimed(repository).await?;
        let new = known.missing(names);
        if new.is_empty() {
            return Ok(());
        }
        let written = self.write_claims(repository, &new, now).await;
        if written.is_err() {
            new.iter().for_each(|name| known.add_unwritten(name, now));
        }
        written
    }

    /// Claims names that files of a repository speak of, but those that were given back; returns the new ones.
    pub async fn claim_found(
        &self,
        repository: &str,
        mut names: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, StateError> {
        let known = self.claimed(repository).await?;
        names.retain(|name| !known.has(name));
        if names.is_empty() {
            return Ok(names);
        }
        let forgotten: Vec<(String,)> =
            sql_as("SELECT name FROM claims WHERE repository = $1 AND forgotten IS NOT NULL")
                .bind(repository)
                .fetch_all(&self.pool)
                .await
                .map_err(StateError::query("read the claims of a repository"))?;
        for (name,) in &forgotten {
            names.remove(name);
        }
        self.claim(repository, names.iter().map(String::as_str), now).await?;
        Ok(names)
    }

    async fn write_claims(&self, repository: &str, names: &[&str], now: Timestamp) -> Result<(), StateError> {
        self.writing("claim names", Lock::Repository(repository), |mut writing| async move {
            // One statement for all: a registry has many thousands of names.
            let insert = format!(
                "INSERT INTO claims (repository, name, since) SELECT $1, value, $2 FROM {} WHERE true \
                 ON CONFLICT (repository, name) DO UPDATE SET since = excluded.since, forgotten = NULL \
                 WHERE claims.forgotten IS NOT NULL",
                writing.connection().texts_of("$3")
            );
            let list = serde_json::Value::from(names).to_string();
            writing.run(sql(insert).bind(repository).bind(sql_time(now)).bind(list)).await?;
            for name in names {
                let (repository, name) = (repository.to_owned(), (*name).to_owned());
                writing.claims.push(Change::Claimed { repository, name, since: now });
            }
            writing.commit().await
        })
        .await
    }

    /// Gives a name back that a repository has no release of. Its owners lose it, and its
    /// tombstones stay: a version that was there is not used again for something else.
    pub async fn forget_name(
        &self,
        now: Timestamp,
        (repository, name): (&str, &str),
        by: &Actor,
    ) -> Result<ForgottenName, StateError> {
        const OPERATION: &str = "give a name back";
        // Also one that could not be written yet.
        let is_known = self.claimed(repository).await?.has(name);
        self.writing(OPERATION, Lock::Repository(repository), |mut writing| async move {
            if writing.present_package(repository, name).await?.is_some() {
                return Ok(ForgottenName::HasReleases);
            }
            if !is_known && !is_claimed(writing.connection(), repository, name).await? {
                return Ok(ForgottenName::Unclaimed);
            }
            let forget = "INSERT INTO claims (repository, name, since, forgotten) VALUES ($1, $2, $3, $3) \
                          ON CONFLICT (repository, name) DO UPDATE SET forgotten = $3";
            writing.run(sql(forget).bind(repository).bind(name).bind(sql_time(now))).await?;
            let disown = "DELETE FROM packages WHERE repository = $1 AND name = $2 \
                          AND NOT EXISTS (SELECT 1 FROM releases WHERE package_id = packages.id)";
            writing.run(sql(disown).bind(repository).bind(name)).await?;
            let (subject, detail) = ((repository, Some(name), None), "others may have the name now");
            let logged = audit::insert(writing.connection(), now, Action::NameForget, subject, detail, by).await;
            logged.map_err(StateError::query(OPERATION))?;
            writing.claims.push(Change::Forgotten { repository: repository.to_owned(), name: name.to_owned() });
            writing.commit().await?;
            Ok(ForgottenName::Done)
        })
        .await
    }
}

impl Writing<'_> {
    /// A name is had, from now on or again.
    pub(super) async fn claim(&mut self, repository: &str, name: &str, now: Timestamp) -> Result<(), StateError> {
        let again = "UPDATE claims SET forgotten = NULL, since = $3 \
                     WHERE repository = $1 AND name = $2 AND forgotten IS NOT NULL";
        self.run(sql(again).bind(repository).bind(name).bind(sql_time(now))).await?;
        self.claims.push(Change::Claimed { repository: repository.to_owned(), name: name.to_owned(), since: now });
        Ok(())
    }

    /// A package has lost its last release: its name stays claimed since it was first published.
    pub(super) async fn keep_claim(&mut self, repository: &str, package: i64) -> Result<(), StateError> {
        let keep = "INSERT INTO claims (repository, name, since) SELECT $1, name, inserted_at FROM packages WHERE id = $2 \
                    ON CONFLICT (repository, name) DO NOTHING";
        self.run(sql(keep).bind(repository).bind(package)).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
