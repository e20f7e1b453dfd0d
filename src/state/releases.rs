//! Changes of packages in local repositories. Each change and its audit entry are one transaction.

use super::audit::{self, Action, Actor, sql_time};
use super::engine::{sql, sql_as};
use super::package_snapshot::PackageSnapshot;
use super::packages::{Docs, ListedPackage, OwnerLevel, ReleaseMetadata, Requirement, Retirement};
use super::{Lock, State, StateError, Writing};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::version::ReleaseVersion;

/// The subject of a change: repository key, package, version.
pub type Subject<'a> = (&'a str, &'a str, Option<&'a str>);

/// A release to write.
#[derive(Clone, Copy, Debug)]
pub struct NewRelease<'a> {
    /// The inner checksum: SHA-256 of the contents of the tarball.
    pub inner: &'a Sha256,
    /// The outer checksum: SHA-256 of the whole tarball.
    pub outer: &'a Sha256,
    /// The size of the tarball in bytes.
    pub size: u64,
    /// The metadata.
    pub about: &'a ReleaseMetadata,
    /// The dependencies.
    pub requirements: &'a [Requirement],
    /// The user who publishes it.
    pub publisher: Option<&'a str>,
}

/// A release that is restored from its files, with its original times and settings.
#[derive(Clone, Copy, Debug)]
pub struct RestoredRelease<'a> {
    /// The release.
    pub release: NewRelease<'a>,
    /// The time of the first publication.
    pub inserted_at: Timestamp,
    /// The time at which the current tarball was published.
    pub published_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// The documentation, if any.
    pub docs: Option<Docs>,
    /// The retirement, if any.
    pub retirement: Option<&'a Retirement>,
    /// Owners to add to the package.
    pub owners: &'a [(String, OwnerLevel)],
}

impl State {
    /// Publishes a release, or replaces an existing one. A replacement keeps the first publication time, the retirement
    /// and the documentation; a different tarball gets a new publication time. The first release of a package creates
    /// the package, with the publisher as its owner. A tombstone of the version is deleted. `decide` sees the state
    /// under the lock of the repository and may refuse the release; its result is returned.
    pub async fn publish<T, R>(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        new: &NewRelease<'_>,
        by: &Actor,
        decide: impl Fn(&PackageSnapshot) -> Result<T, R>,
    ) -> Result<Result<T, R>, StateError> {
        let (repository, name, version) = subject;
        let version = version.unwrap_or_default();
        let decide = &decide;
        self.writing("publish a release", Lock::Repository(repository), |mut writing| async move {
            let decided = match decide(&writing.present(repository, name, version).await?) {
                Ok(decided) => decided,
                Err(refused) => return Ok(Err(refused)),
            };
            let package = match writing.package(repository, name).await? {
                Some(package) => {
                    // A package without releases starts over, with its former owners.
                    let anew = "UPDATE packages SET inserted_at = $2 WHERE id = $1 \
                                AND NOT EXISTS (SELECT 1 FROM releases WHERE package_id = $1)";
                    writing.run(sql(anew).bind(package).bind(sql_time(now))).await?;
                    package
                }
                None => {
                    let insert =
                        sql("INSERT INTO packages (repository, name, inserted_at, updated_at) VALUES ($1, $2, $3, $3)");
                    writing.run(insert.bind(repository).bind(name).bind(sql_time(now))).await?;
                    let package = writing.package(repository, name).await?.unwrap_or_default();
                    if let Some(user) = new.publisher {
                        writing.own(package, user, OwnerLevel::Full).await?;
                    }
                    package
                }
            };
            writing.release(package, version, new, [now; 3]).await?;
            writing.remove_tombstone(subject).await?;
            writing.touch(package, now).await?;
            writing.claim(repository, name, now).await?;
            writing
                .log_change(now, Action::ReleasePublish, subject, &format!("outer checksum {}", new.outer), by)
                .await?;
            writing.commit().await?;
            Ok(Ok(decided))
        })
        .await
    }

    /// Removes a release and leaves a tombstone. A package without releases is hidden from readers; its name stays
    /// claimed, and its owners keep it. `decide` may refuse the removal. Returns whether the release existed.
    pub async fn remove_release<R>(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        (is_final, reason): (bool, &str),
        by: &Actor,
        decide: impl Fn(&ListedPackage) -> Result<(), R>,
    ) -> Result<Result<bool, R>, StateError> {
        let (repository, name, version) = subject;
        let version = version.unwrap_or_default();
        let decide = &decide;
        self.writing("remove a release", Lock::Repository(repository), |mut writing| async move {
            let Some(present) = writing.present(repository, name, version).await?.package else { return Ok(Ok(false)) };
            if !present.releases.iter().any(|release| release.version == version) {
                return Ok(Ok(false));
            }
            if let Err(refused) = decide(&present) {
                return Ok(Err(refused));
            }
            let Some(package) = writing.package(repository, name).await? else { return Ok(Ok(false)) };
            let bury = "INSERT INTO tombstones (repository, package, version, outer_checksum, is_final, reason, removed_by, \
                        removed_at) SELECT $1, $2, version, outer_checksum, $5, $6, $7, $8 FROM releases \
                        WHERE package_id = $4 AND version = $3 \
                        ON CONFLICT (repository, package, version) DO UPDATE SET outer_checksum = excluded.outer_checksum, \
                        is_final = CASE WHEN excluded.is_final = 1 THEN 1 ELSE tombstones.is_final END, reason = excluded.reason, \
                        removed_by = excluded.removed_by, removed_at = excluded.removed_at";
            let bury = sql(bury).bind(repository).bind(name).bind(version).bind(package);
            let bury = bury.bind(is_final).bind(reason).bind(by.actor.as_deref()).bind(sql_time(now));
            writing.run(bury).await?;
            let remove = sql("DELETE FROM releases WHERE package_id = $1 AND version = $2");
            writing.run(remove.bind(package).bind(version)).await?;
            writing.touch(package, now).await?;
            writing.keep_claim(repository, package).await?;
            let action = if is_final { Action::ReleaseRemove } else { Action::ReleaseRevert };
            writing.log_change(now, action, subject, reason, by).await?;
            writing.commit().await?;
            Ok(Ok(true))
        })
        .await
    }

    /// Allows a removed version to be published again, unless an administrator removed it; returns whether there was a
    /// tombstone.
    pub async fn clear_tombstone(&self, now: Timestamp, subject: Subject<'_>, by: &Actor) -> Result<bool, StateError> {
        let (repository, name, version) = subject;
        self.writing("clear a tombstone", Lock::Repository(repository), |mut writing| async move {
            let clear =
                "DELETE FROM tombstones WHERE repository = $1 AND package = $2 AND version = $3 AND is_final = 0";
            let cleared = writing.run(sql(clear).bind(repository).bind(name).bind(version)).await? > 0;
            if cleared {
                writing
                    .log_change(now, Action::TombstoneClear, subject, "the version may be published again", by)
                    .await?;
            }
            writing.commit().await?;
            Ok(cleared)
        })
        .await
    }

    /// Retires a release, or removes the retirement; returns whether the release exists.
    pub async fn retire(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        retirement: Option<&Retirement>,
        by: &Actor,
    ) -> Result<bool, StateError> {
        let (repository, name, version) = subject;
        self.writing("retire a release", Lock::Repository(repository), |mut writing| async move {
            let Some(package) = writing.package(repository, name).await? else { return Ok(false) };
            let reason = retirement.map(|retirement| retirement.reason.word());
            let message = retirement.and_then(|retirement| retirement.message.as_deref());
            let set = "UPDATE releases SET retired_reason = $3, retired_message = $4, updated_at = $5 \
                       WHERE package_id = $1 AND version = $2";
            let set = sql(set).bind(package).bind(version).bind(reason).bind(message).bind(sql_time(now));
            if writing.run(set).await? == 0 {
                return Ok(false);
            }
            writing.touch(package, now).await?;
            let action = if retirement.is_some() { Action::ReleaseRetire } else { Action::ReleaseUnretire };
            writing.log_change(now, action, subject, reason.unwrap_or("no longer retired"), by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Sets or removes the documentation of a release; returns whether the release exists.
    pub async fn set_docs(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        docs: Option<&Docs>,
        by: &Actor,
    ) -> Result<bool, StateError> {
        let (repository, name, version) = subject;
        self.writing("set the docs of a release", Lock::Repository(repository), |mut writing| async move {
            let Some(package) = writing.package(repository, name).await? else { return Ok(false) };
            let digest = docs.map(|docs| docs.digest.to_string());
            let size = docs.map(|docs| i64::try_from(docs.size).unwrap_or(i64::MAX));
            let set = "UPDATE releases SET docs_checksum = $3, docs_size = $4, updated_at = $5 \
                       WHERE package_id = $1 AND version = $2";
            let set = sql(set).bind(package).bind(version).bind(&digest).bind(size);
            if writing.run(set.bind(sql_time(now))).await? == 0 {
                return Ok(false);
            }
            let touch = sql("UPDATE packages SET docs_updated_at = $2 WHERE id = $1");
            writing.run(touch.bind(package).bind(sql_time(now))).await?;
            let action = if docs.is_some() { Action::DocsPublish } else { Action::DocsRevert };
            writing.log_change(now, action, subject, digest.as_deref().unwrap_or("removed"), by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Writes a release with its original data, from its files; see [`RestoredRelease`]. Returns `false`, and changes
    /// nothing, if the database knows the version and its record is final or not older.
    pub async fn restore(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        restored: &RestoredRelease<'_>,
        by: &Actor,
    ) -> Result<bool, StateError> {
        let (repository, name, version) = subject;
        let (inserted_at, updated_at) = (sql_time(restored.inserted_at), sql_time(restored.updated_at));
        self.writing("restore a release", Lock::Repository(repository), |mut writing| async move {
            let recorded = writing.recorded_version(subject).await?;
            if recorded.is_some_and(|recorded| recorded.counts(restored.updated_at)) {
                return Ok(false);
            }
            writing.remove_tombstone(subject).await?;
            let upsert = "INSERT INTO packages (repository, name, inserted_at, updated_at) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT (repository, name) DO UPDATE SET \
                          inserted_at = CASE WHEN packages.inserted_at < $3 THEN packages.inserted_at ELSE $3 END, \
                          updated_at = CASE WHEN packages.updated_at > $4 THEN packages.updated_at ELSE $4 END";
            writing.run(sql(upsert).bind(repository).bind(name).bind(inserted_at).bind(updated_at)).await?;
            let package = writing.package(repository, name).await?.unwrap_or_default();
            let version = version.unwrap_or_default();
            let times = [restored.inserted_at, restored.published_at, restored.updated_at];
            writing.release(package, version, &restored.release, times).await?;
            let set = "UPDATE releases SET docs_checksum = $3, docs_size = $4, retired_reason = $5, retired_message = $6 \
                       WHERE package_id = $1 AND version = $2";
            let set = sql(set).bind(package).bind(version);
            let set = set.bind(restored.docs.map(|docs| docs.digest.to_string()));
            let set = set.bind(restored.docs.map(|docs| i64::try_from(docs.size).unwrap_or(i64::MAX)));
            let set = set.bind(restored.retirement.map(|retirement| retirement.reason.word()));
            writing.run(set.bind(restored.retirement.and_then(|retirement| retirement.message.as_deref()))).await?;
            for (username, level) in restored.owners {
                writing.own(package, username, *level).await?;
            }
            writing.latest(package).await?;
            writing.claim(repository, name, restored.inserted_at).await?;
            writing.log(now, Action::ReleaseRestore, subject, "restored from its files", by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

impl Writing<'_> {
    pub(super) async fn package(&mut self, repository: &str, name: &str) -> Result<Option<i64>, StateError> {
        let wrap = StateError::query(self.operation);
        let found: Option<(i64,)> = sql_as("SELECT id FROM packages WHERE repository = $1 AND name = $2")
            .bind(repository)
            .bind(name)
            .fetch_optional(self.connection())
            .await
            .map_err(wrap)?;
        Ok(found.map(|(id,)| id))
    }

    /// The row id of the package, if it has releases.
    pub(super) async fn present_package(&mut self, repository: &str, name: &str) -> Result<Option<i64>, StateError> {
        let wrap = StateError::query(self.operation);
        let found: Option<(i64,)> = sql_as(
            "SELECT id FROM packages WHERE repository = $1 AND name = $2 \
             AND EXISTS (SELECT 1 FROM releases WHERE package_id = packages.id)",
        )
        .bind(repository)
        .bind(name)
        .fetch_optional(self.connection())
        .await
        .map_err(wrap)?;
        Ok(found.map(|(id,)| id))
    }

    pub(super) async fn own(&mut self, package: i64, username: &str, level: OwnerLevel) -> Result<(), StateError> {
        let own = "INSERT INTO owners (package_id, username, level) VALUES ($1, $2, $3) \
                   ON CONFLICT (package_id, username) DO UPDATE SET level = $3";
        self.run(sql(own).bind(package).bind(username).bind(level.as_str())).await.map(drop)
    }

    async fn release(
        &mut self,
        package: i64,
        version: &str,
        new: &NewRelease<'_>,
        [inserted_at, published_at, updated_at]: [Timestamp; 3],
    ) -> Result<(), StateError> {
        let metadata = serde_json::to_string(new.about).unwrap_or_default();
        let build_tools = format!(" {} ", new.about.build_tools.join(" "));
        let upsert = "INSERT INTO releases (package_id, version, inner_checksum, outer_checksum, size, metadata, \
                      build_tools, publisher, inserted_at, updated_at, published_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                      ON CONFLICT (package_id, version) DO UPDATE SET inner_checksum = $3, outer_checksum = $4, \
                      size = $5, metadata = $6, build_tools = $7, publisher = $8, updated_at = $10, \
                      published_at = CASE WHEN releases.outer_checksum = $4 THEN releases.published_at ELSE $11 END";
        let upsert = sql(upsert).bind(package).bind(version);
        let upsert = upsert.bind(new.inner.to_string()).bind(new.outer.to_string());
        let upsert = upsert.bind(i64::try_from(new.size).unwrap_or(i64::MAX)).bind(metadata).bind(build_tools);
        let upsert = upsert.bind(new.publisher).bind(sql_time(inserted_at)).bind(sql_time(updated_at));
        self.run(upsert.bind(sql_time(published_at))).await?;
        let release = "(SELECT id FROM releases WHERE package_id = $1 AND version = $2)";
        let clear = format!("DELETE FROM requirements WHERE release_id = {release}");
        self.run(sql(clear).bind(package).bind(version)).await?;
        let insert = format!(
            "INSERT INTO requirements (release_id, package, requirement, optional, app, repository) \
             VALUES ({release}, $3, $4, $5, $6, $7)"
        );
        for requirement in new.requirements {
            let query = sql(insert.clone()).bind(package).bind(version);
            let query = query.bind(&requirement.package).bind(&requirement.requirement).bind(requirement.optional);
            self.run(query.bind(&requirement.app).bind(&requirement.repository)).await?;
        }
        Ok(())
    }

    /// Records that the package changed.
    async fn touch(&mut self, package: i64, now: Timestamp) -> Result<(), StateError> {
        let touch = sql("UPDATE packages SET updated_at = $2 WHERE id = $1");
        self.run(touch.bind(package).bind(sql_time(now))).await?;
        self.latest(package).await
    }

    /// Determines the latest release, because SQL cannot sort versions.
    pub(super) async fn latest(&mut self, package: i64) -> Result<(), StateError> {
        let wrap = || StateError::query("sort the releases of a package");
        let rows = sql("SELECT id, version FROM releases WHERE package_id = $1")
            .bind(package)
            .fetch_all(self.connection())
            .await
            .map_err(wrap())?;
        let mut newest: Option<(bool, ReleaseVersion, i64)> = None;
        for row in rows {
            let (id, text): (i64, String) = (row.try_get(0).map_err(wrap())?, row.try_get(1).map_err(wrap())?);
            let Ok(version) = text.parse::<ReleaseVersion>() else { continue };
            let candidate = (!version.is_pre_release(), version, id);
            if newest.as_ref().is_none_or(|newest| *newest < candidate) {
                newest = Some(candidate);
            }
        }
        let set = sql("UPDATE packages SET latest = $2 WHERE id = $1").bind(package);
        self.run(set.bind(newest.map(|(_, _, id)| id))).await.map(drop)
    }

    /// Adds an entry about a change of a package to the audit log, and marks the package: its sidecars are owed.
    pub(super) async fn log_change(
        &mut self,
        now: Timestamp,
        action: Action,
        subject: Subject<'_>,
        detail: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        self.log(now, action, subject, detail, by).await?;
        self.owe_sidecars(subject.0, subject.1).await
    }

    pub(super) async fn log(
        &mut self,
        now: Timestamp,
        action: Action,
        (repository, name, version): Subject<'_>,
        detail: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        let wrap = StateError::query(self.operation);
        let subject = (repository, Some(name), version);
        audit::insert(self.connection(), now, action, subject, detail, by).await.map_err(wrap)
    }
}
