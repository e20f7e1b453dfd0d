//! Claimed names: every name that a repository ever had stays claimed until an administrator removes the claim.
//!
//! Rows in other tables claim a name: a package or a tombstone of a local repository, a ledger entry of a remote one.
//! The table `claims` contains the names from signed lists, and the names whose claims were removed. No list contains
//! the policies of a repository, so policies that were seen are claimed next to the packages, as `policies/NAME`.
//!
//! Virtual repositories look up claims in each request, so the names of a repository are read once, under the writer's
//! lock, and then updated together with the tables: each commit updates the names in memory before it releases the
//! lock. Only one process has the database open, because the store is locked and commands go through the daemon. So the
//! names in memory are never older than those on disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::audit::{self, Action, Actor, from_sql_time, sql_time};
use super::engine::{sql, sql_as};
use super::package_snapshot::is_claimed;
use super::{Lock, State, StateError, Writing};
use crate::clock::Timestamp;

/// The prefix of policies among the claimed names. Package names contain no slash.
const POLICY: &str = "policies/";

/// The claimed name of a policy.
pub fn of_policy(name: &str) -> String {
    format!("{POLICY}{name}")
}

/// The name of the policy that is claimed under this name; `None` if it is a package.
pub fn as_policy(claimed: &str) -> Option<&str> {
    claimed.strip_prefix(POLICY)
}

/// The claimed names of a repository.
#[derive(Debug)]
pub struct ClaimedNames {
    /// A different number each time that names are read into memory.
    reading: u64,
    names: RwLock<Names>,
}

#[derive(Debug, Default)]
struct Names {
    since: HashMap<Arc<str>, Timestamp>,
    /// All names that were claimed or given up since the names were read, in order.
    changes: Vec<Arc<str>>,
    /// Claimed names that could not be written to the database.
    unwritten: BTreeSet<Arc<str>>,
}

/// The version of a repository's claimed names: the names of equal versions are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimsVersion {
    reading: u64,
    changes: usize,
}

impl ClaimsVersion {
    /// The version as bytes.
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

    /// Whether a claimed package matches `fits`.
    pub fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.names.read().since.keys().any(|name| as_policy(name).is_none() && fits(name))
    }

    /// Whether a policy is claimed.
    pub fn has_policy(&self, name: &str) -> bool {
        self.has(&of_policy(name))
    }

    /// Whether a name is claimed: a package, or a policy as returned by [`of_policy`].
    pub fn has(&self, name: &str) -> bool {
        self.names.read().since.contains_key(name)
    }

    /// The time since which a name is claimed; `None` if it is not.
    pub fn since(&self, name: &str) -> Option<Timestamp> {
        self.names.read().since.get(name).copied()
    }

    /// The version of the names.
    pub fn version(&self) -> ClaimsVersion {
        ClaimsVersion { reading: self.reading, changes: self.names.read().changes.len() }
    }

    /// The packages whose claim changed since a version; all packages if the version belongs to other names.
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

    /// Those of `names` that are not recorded as claimed in the database.
    fn missing<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let known = self.names.read();
        let is_new = |name: &&str| !known.since.contains_key(*name) || known.unwritten.contains(*name);
        names.into_iter().filter(is_new).collect()
    }
}

/// The outcome of removing a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgottenName {
    /// The claim was removed: other repositories may use the name.
    Done,
    /// The repository does not claim the name.
    Unclaimed,
    /// The repository has releases of this name.
    HasReleases,
}

/// The claimed names in memory, by repository.
#[derive(Debug, Default)]
pub(super) struct ClaimIndex(RwLock<HashMap<String, Arc<ClaimedNames>>>);

/// A change of claims in a transaction.
#[derive(Debug)]
pub(super) enum Change {
    /// A repository claims a name.
    Claimed { repository: String, name: String, since: Timestamp },
    /// A repository gave up the claim to a name.
    Forgotten { repository: String, name: String },
    /// Many claims of a repository may have changed: read them again.
    Anew { repository: String },
}

impl ClaimIndex {
    fn get(&self, repository: &str) -> Option<Arc<ClaimedNames>> {
        self.0.read().get(repository).map(Arc::clone)
    }

    /// Applies a committed change; the caller holds the writer's lock. Names that are not in memory are read when
    /// needed.
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
    /// The claimed names of a repository; read from the database the first time.
    pub async fn claimed(&self, repository: &str) -> Result<Arc<ClaimedNames>, StateError> {
        if let Some(names) = self.books.get(repository) {
            return Ok(names);
        }
        // The lock prevents changes of claims during the read.
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

    /// Claims names that were just seen in a repository. If they cannot be written, they are claimed in memory, and
    /// written together with the next ones.
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

    /// Claims names that appear in files of a repository, except for given-up claims; returns the new names.
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
            // One statement for all names: a registry has many thousands.
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

    /// Removes the claim to a name without releases. Its owners lose it. Its tombstones are kept, so that a removed
    /// version is never reused for different content.
    pub async fn forget_name(
        &self,
        now: Timestamp,
        (repository, name): (&str, &str),
        by: &Actor,
    ) -> Result<ForgottenName, StateError> {
        const OPERATION: &str = "remove the claim to a name";
        // Includes names that could not be written to the database yet.
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
            let (subject, detail) = ((repository, Some(name), None), "other repositories may claim the name now");
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
    /// Claims a name, possibly again.
    pub(super) async fn claim(&mut self, repository: &str, name: &str, now: Timestamp) -> Result<(), StateError> {
        let again = "UPDATE claims SET forgotten = NULL, since = $3 \
                     WHERE repository = $1 AND name = $2 AND forgotten IS NOT NULL";
        self.run(sql(again).bind(repository).bind(name).bind(sql_time(now))).await?;
        self.claims.push(Change::Claimed { repository: repository.to_owned(), name: name.to_owned(), since: now });
        Ok(())
    }

    /// Keeps the name of a package claimed after its last release was removed, since the time of its first release.
    pub(super) async fn keep_claim(&mut self, repository: &str, package: i64) -> Result<(), StateError> {
        let keep = "INSERT INTO claims (repository, name, since) SELECT $1, name, inserted_at FROM packages WHERE id = $2 \
                    ON CONFLICT (repository, name) DO NOTHING";
        self.run(sql(keep).bind(repository).bind(package)).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
