//! What takes room, what may go, and what lock files keep.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::commands::Outcome;
use super::jobs::Collect;
use super::locked::LockedReleases;
use super::operator::Operator;
use super::under_way::Work;
use crate::clock::Timestamp;
use crate::repository::Repository;
use crate::state::audit::By;
use crate::state::pins::Pinned;
use crate::tasks::gc::{self, Collected, Rules, Share};
use crate::tasks::report::Reporter;

/// When a file was used last is known to this precision.
const USED_TO: Duration = Duration::from_secs(3600);

impl Operator {
    /// Lets no eviction take what lock files pin.
    pub async fn keep_pinned(&self) -> Result<(), Failure> {
        let pinned = self.pinned().await?;
        let store = Arc::clone(&self.shared.store);
        let pins = pinned.into_iter().map(|Pinned { source, package, checksum, until, .. }| gc::Pin {
            source,
            package,
            checksum,
            until,
        });
        let kept = tokio::task::spawn_blocking(move || gc::pin(&store, pins)).await;
        kept.map_err(|error| Failure::of(&error))
    }

    async fn pinned(&self) -> Result<Vec<Pinned>, Failure> {
        self.state.pinned(self.shared.clock.now()).await.map_err(|error| Failure::of(&error))
    }

    pub(super) async fn unpin(&self, key: &str, releases: &LockedReleases, by: &By) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        let released: Vec<(&str, &str)> = releases.iter().map(|release| (release.package, release.version)).collect();
        let count = enforcer.unpin(&released, by).await.map_err(|error| Failure::of(&error))?;
        self.keep_pinned().await?;
        Ok(Outcome::line(format!("{count} releases are no longer pinned for `{key}`")))
    }

    pub(super) async fn collect(&self, asked: Collect, report: Reporter) -> Result<Outcome, Failure> {
        if asked.keep_latest.is_none() && asked.unused_for.is_none() {
            return Err(Failure("say what is to be kept: --keep-latest N, --unused-for TIME, or both".to_owned()));
        }
        let unused_for = asked.unused_for.map(Duration::from_secs);
        if unused_for.is_some_and(|age| age < USED_TO) {
            return Err(Failure(
                "when a file was used last is known to an hour: --unused-for is 1h at least".to_owned(),
            ));
        }
        let place = if asked.dry_run { None } else { Some(self.under_way.begin(Work::Collect)?) };
        let now = self.shared.clock.now();
        let used_since = unused_for.map(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(age))
        });
        self.keep_pinned().await?;
        let pinned = self.pinned().await?.into_iter().map(|one| (one.package, one.version));
        let locked = asked.releases.iter().map(|one| (one.package.to_owned(), one.version.to_owned()));
        let rules = Rules {
            releases: pinned.chain(locked).collect(),
            keep_latest: asked.keep_latest,
            used_since,
            dry_run: asked.dry_run,
        };
        let (store, remotes) = (Arc::clone(&self.shared.store), self.remotes());
        let collected = tokio::task::spawn_blocking(move || {
            let _place = place;
            gc::run(&store, &remotes, &rules, &report)
        });
        let collected = collected.await;
        let collected = collected.map_err(|_| Failure("the collection ended without an answer".to_owned()))?;
        let Collected { files, bytes, left, left_bytes } = collected.map_err(|error| Failure::of(&error))?;
        let gone = if asked.dry_run { "would go" } else { "are gone" };
        Ok(Outcome::line(format!("{files} files of {bytes} bytes {gone}; {left} of {left_bytes} bytes stay")))
    }

    pub(super) async fn stats(&self, key: Option<&str>) -> Result<Outcome, Failure> {
        let chosen = match key {
            Some(key) => vec![self.repository(key)?],
            None => self.repositories(),
        };
        let mut outcome = Outcome::default();
        if key.is_none() {
            let (stored, limit) = (self.shared.store.stored_bytes(), self.setup().cache_limit);
            let of = if limit.bytes() == 0 { "no limit".to_owned() } else { limit.to_string() };
            outcome.lines.push(format!("cache: {stored} bytes of {of}"));
        }
        let remotes: Vec<_> = chosen.iter().filter_map(|one| one.as_remote().map(Arc::clone)).collect();
        let (store, of) = (Arc::clone(&self.shared.store), remotes.clone());
        let shares = tokio::task::spawn_blocking(move || gc::shares(&store, &of)).await;
        let shares = shares.map_err(|error| Failure::of(&error))?.map_err(|error| Failure::of(&error))?;
        let metrics = self.shared.metrics.render();
        for (remote, share) in remotes.iter().zip(shares) {
            let Share { packages, tarballs, docs, largest } = share;
            outcome.lines.push(format!(
                "{}: {packages} packages, {} tarballs of {} bytes, {} docs of {} bytes; {}",
                remote.key(),
                tarballs.0,
                tarballs.1,
                docs.0,
                docs.1,
                hits(&metrics, remote.key().as_str())
            ));
            outcome.lines.extend(largest.into_iter().map(|(package, bytes)| format!("  {package} {bytes} bytes")));
        }
        for local in chosen.iter().filter_map(Repository::as_local) {
            let files = local.files().await.map_err(|error| Failure::of(&error))?;
            let mut bytes = 0;
            for (_, digest) in &files {
                let stat = self.shared.store.local.stat((*digest).into()).await;
                bytes += stat.map_err(|error| Failure::of(&error))?.map_or(0, |stat| stat.length);
            }
            outcome.lines.push(format!(
                "{}: {} files of {bytes} bytes, which no limit counts",
                local.key(),
                files.len()
            ));
        }
        Ok(outcome)
    }
}

/// How many of a repository's requests were answered from here, since the daemon has started.
fn hits(metrics: &str, repository: &str) -> String {
    let (mut all, mut hits) = (0_u64, 0_u64);
    let of = format!("repository=\"{repository}\"");
    for line in metrics.lines().filter(|line| line.starts_with("hexkeep_requests_total{") && line.contains(&of)) {
        let Some(count) = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()) else { continue };
        let status = line.split("cache=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("-");
        match status {
            "-" => {}
            "hit" | "stale" => (all, hits) = (all + count, hits + count),
            _ => all += count,
        }
    }
    match (hits * 100).checked_div(all) {
        Some(percent) => format!("{percent}% of {all} requests were answered without the upstream"),
        None => "no requests were counted".to_owned(),
    }
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
        assert_eq!(hits(&metrics, "hexpm"), "70% of 10 requests were answered without the upstream");
        assert_eq!(hits(&metrics, "none"), "no requests were counted");
    }
}
