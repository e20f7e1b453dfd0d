//! Disk usage, garbage collection, and the protection of pinned files from eviction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job_exclusion::ExclusiveJob;
use super::jobs::CollectJob;
use super::operator::Operator;
use super::outcome::{Text, count};
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::repository::Repository;
use crate::shutdown;
use crate::size::ByteSize;
use crate::state::pins::PinnedRelease;
use crate::tasks::gc::{self, CollectReport, RetentionRules};
use crate::tasks::report::Reporter;

/// The precision with which the last use of a file is recorded.
const USED_TO: Duration = Duration::from_secs(3600);

/// What a garbage collection removed, or would remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectOutcome {
    /// Whether the job only reported what it would remove.
    pub dry_run: bool,
    /// Number of removed files.
    pub files: u64,
    /// Size of the removed files in bytes.
    pub bytes: u64,
    /// Number of remaining files.
    pub left: u64,
    /// Size of the remaining files in bytes.
    pub left_bytes: u64,
}

/// Disk usage and hit rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Size of the whole cache; `None` if only one repository was requested.
    pub cache: Option<CacheRoom>,
    /// Remote repositories.
    pub remotes: Vec<RemoteRoom>,
    /// Local repositories.
    pub locals: Vec<LocalRoom>,
}

/// Disk usage of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRoom {
    /// Size of the stored files in bytes.
    pub bytes: u64,
    /// Maximum size in bytes; zero is no limit.
    pub limit: u64,
}

/// Disk usage of a remote repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRoom {
    /// Key of the repository.
    pub repository: String,
    /// Number of packages with a cached index.
    pub packages: u64,
    /// Number of cached tarballs, and their size in bytes.
    pub tarballs: (u64, u64),
    /// Number of cached documentation archives, and their size in bytes.
    pub docs: (u64, u64),
    /// The largest packages with their size in bytes, in descending order.
    pub largest: Vec<(String, u64)>,
    /// Requests since the start of the daemon.
    pub requests: HitCount,
}

/// Disk usage of a local repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRoom {
    /// Key of the repository.
    pub repository: String,
    /// Number of files.
    pub files: usize,
    /// Size of the files in bytes.
    pub bytes: u64,
}

/// Number of requests, and how many of them were cache hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitCount {
    /// All counted requests.
    pub all: u64,
    /// Requests that were answered without the upstream.
    pub hits: u64,
}

impl CollectOutcome {
    pub(super) fn text(&self) -> Text {
        let Self { dry_run, files, bytes, left, left_bytes } = self;
        let gone = match (dry_run, files) {
            (true, _) => "would be removed",
            (false, 1) => "was removed",
            (false, _) => "were removed",
        };
        let (files, stay) = (count(*files, "file", "files"), if *left == 1 { "remains" } else { "remain" });
        Text::line(format!("{files} ({bytes} bytes) {gone}; {left} ({left_bytes} bytes) {stay}"))
    }
}

impl HitCount {
    fn sentence(self) -> String {
        match (self.hits * 100).checked_div(self.all) {
            Some(percent) => {
                let (requests, were) =
                    (count(self.all, "request", "requests"), if self.all == 1 { "was" } else { "were" });
                format!("{percent}% of {requests} {were} answered without the upstream")
            }
            None => "no requests yet".to_owned(),
        }
    }
}

impl Stats {
    pub(super) fn text(&self) -> Text {
        let mut text = Text::default();
        if let Some(CacheRoom { bytes, limit }) = self.cache {
            let of = if limit == 0 { "no limit".to_owned() } else { ByteSize::new(limit).to_string() };
            text.lines.push(format!("cache: {} of {of}", ByteSize::new(bytes).rounded()));
        }
        for RemoteRoom { repository, packages, tarballs, docs, largest, requests } in &self.remotes {
            text.lines.push(format!(
                "{repository}: {}, {} of {}, {} docs of {}; {}",
                count(*packages, "package", "packages"),
                count(tarballs.0, "tarball", "tarballs"),
                ByteSize::new(tarballs.1).rounded(),
                docs.0,
                ByteSize::new(docs.1).rounded(),
                requests.sentence()
            ));
            text.lines.extend(
                largest.iter().map(|(package, bytes)| format!("  {package} {}", ByteSize::new(*bytes).rounded())),
            );
        }
        for LocalRoom { repository, files, bytes } in &self.locals {
            text.lines.push(format!(
                "{repository}: {} of {}, not counted in the cache limit",
                count(*files, "file", "files"),
                ByteSize::new(*bytes).rounded()
            ));
        }
        text
    }
}

impl Operator {
    /// Protects pinned files from eviction.
    pub async fn protect_pinned(&self) -> Result<(), OperationError> {
        let mut all = gc::PinnedReleases::new(&self.shared.store);
        let add = |one: PinnedRelease| all.add((&one.source, &one.package), &one.checksum, one.until);
        self.state.each_pinned(self.shared.clock.now(), add).await?;
        Ok(shutdown::blocking(move || all.hold()).await?)
    }

    pub(super) async fn collect(&self, asked: CollectJob, report: Reporter) -> Result<CollectOutcome, OperationError> {
        if asked.keep_latest.is_none() && asked.unused_for.is_none() {
            return Err(Refusal::NoRetentionRule.into());
        }
        let unused_for = asked.unused_for.map(Duration::from_secs);
        if unused_for.is_some_and(|age| age < USED_TO) {
            return Err(Refusal::UnusedTooShort.into());
        }
        let place = if asked.dry_run {
            None
        } else {
            Some(self.under_way.begin(ExclusiveJob::Collect).map_err(Refusal::from)?)
        };
        let now = self.shared.clock.now();
        let used_since = unused_for.map(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(age))
        });
        self.protect_pinned().await?;
        let locked = asked.releases.iter().map(|one| (one.package.to_owned(), one.version.to_owned()));
        let mut releases: BTreeSet<_> = locked.collect();
        let add = |one: PinnedRelease| _ = releases.insert((one.package, one.version));
        self.state.each_pinned(now, add).await?;
        let rules = RetentionRules { releases, keep_latest: asked.keep_latest, used_since, dry_run: asked.dry_run };
        let (store, remotes) = (Arc::clone(&self.shared.store), self.remotes());
        let collected = shutdown::blocking(move || {
            let _place = place;
            gc::run(&store, &remotes, &rules, &report)
        });
        let CollectReport { files, bytes, left, left_bytes } = collected.await??;
        Ok(CollectOutcome { dry_run: asked.dry_run, files, bytes, left, left_bytes })
    }

    pub(super) async fn stats(&self, key: Option<&str>) -> Result<Stats, OperationError> {
        let chosen = match key {
            Some(key) => vec![self.repository(key)?],
            None => self.repositories(),
        };
        let (bytes, limit) = (self.shared.store.stored_bytes(), self.setup().cache_limit.bytes());
        let cache = key.is_none().then_some(CacheRoom { bytes, limit });
        let remotes: Vec<_> = chosen.iter().filter_map(|one| one.as_remote().map(Arc::clone)).collect();
        let (store, of) = (Arc::clone(&self.shared.store), remotes.clone());
        let shares = shutdown::blocking(move || gc::shares(&store, &of)).await??;
        let metrics = self.shared.metrics.render();
        let remotes = remotes.iter().zip(shares).map(|(remote, share)| RemoteRoom {
            repository: remote.key().to_string(),
            packages: share.packages,
            tarballs: share.tarballs,
            docs: share.docs,
            largest: share.largest,
            requests: hits(&metrics, remote.key().as_str()),
        });
        let mut locals = Vec::new();
        for local in chosen.iter().filter_map(Repository::as_local) {
            let files = local.files().await?;
            let mut bytes = 0;
            for (_, digest) in &files {
                let stat = self.shared.store.local.stat((*digest).into()).await?;
                bytes += stat.map_or(0, |stat| stat.length);
            }
            locals.push(LocalRoom { repository: local.key().to_string(), files: files.len(), bytes });
        }
        Ok(Stats { cache, remotes: remotes.collect(), locals })
    }
}

/// Counts the requests to a repository and its cache hits since the start of the daemon.
fn hits(metrics: &str, repository: &str) -> HitCount {
    let mut found = HitCount::default();
    let of = format!("repository=\"{repository}\"");
    for line in metrics.lines().filter(|line| line.starts_with("hexkeep_requests_total{") && line.contains(&of)) {
        let Some(count) = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()) else { continue };
        let status = line.split("cache=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("-");
        match status {
            "-" => {}
            "hit" | "stale" => found = HitCount { all: found.all + count, hits: found.hits + count },
            _ => found.all += count,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_counted_by_repository() {
        let line = |repository: &str, cache: &str, count: u64| {
            format!(
                "hexkeep_requests_total{{repository=\"{repository}\",kind=\"x\",status=\"200\",cache=\"{cache}\"}} {count}\n"
            )
        };
        let metrics = line("hexpm", "hit", 6)
            + &line("hexpm", "stale", 1)
            + &line("hexpm", "miss", 2)
            + &line("hexpm", "revalidated", 1)
            + &line("hexpm", "-", 90)
            + &line("other", "miss", 7);
        assert_eq!(hits(&metrics, "hexpm").sentence(), "70% of 10 requests were answered without the upstream");
        assert_eq!(hits(&metrics, "none").sentence(), "no requests yet");
    }
}
