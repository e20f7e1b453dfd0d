//! Downloads the releases in lock files before clients request them.

use serde::{Deserialize, Serialize};

use super::error::{IndirectRepository, OperationError, Refusal};
use super::jobs::PrefetchJob;
use super::locked_releases::{LockFileRelease, LockedReleases};
use super::operator::Operator;
use super::outcome::{Text, count};
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::repository::Repository;
use crate::tasks::prefetch::{self, PrefetchExtent, WantedRelease};
use crate::tasks::report::{Reporter, sentence};

/// Name of the default repository in lock files.
const HEXPM: &str = "hexpm";

/// The result of a prefetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefetched {
    /// Number of releases that were already in the cache.
    pub there: u64,
    /// Number of releases that were downloaded.
    pub brought: u64,
    /// Number of bytes that were downloaded.
    pub bytes: u64,
    /// Number of releases with documentation in the cache; `None`: not part of the prefetch.
    pub docs: Option<u64>,
    /// An error for each missing file.
    pub failed: Vec<String>,
    /// Number of cached files that were evicted during the prefetch.
    pub evicted: u64,
}

impl Prefetched {
    pub(super) fn text(&self) -> Text {
        let Self { there, brought, bytes, docs, failed, evicted } = self;
        let docs = docs.map(|docs| format!(", {docs} with documentation")).unwrap_or_default();
        let mut text = Text::line(format!(
            "{} already in the cache, {} downloaded ({bytes} bytes){docs}; {} failed",
            count(*there, "release was", "releases were"),
            count(*brought, "was", "were"),
            failed.len()
        ));
        text.remarks = failed.iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
        if *evicted > 0 {
            text.remarks.push(format!(
                "hexkeep: {evicted} files were evicted from the cache during the prefetch, possibly some of these: storage.cache_limit is too small"
            ));
        }
        text.failed = !text.remarks.is_empty();
        text
    }
}

impl Operator {
    pub(super) async fn prefetch(&self, asked: PrefetchJob, report: &Reporter) -> Result<Prefetched, OperationError> {
        let (wanted, mut failed) = self.wanted_releases(asked.repository.as_deref(), &asked.releases)?;
        let evicted = self.shared.metrics.evicted.get();
        let (done, _) = prefetch::run(wanted, PrefetchExtent::from(&asked), report).await;
        failed.extend(done.failed);
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        let docs = asked.docs.then_some(done.docs);
        Ok(Prefetched { there: done.there, brought: done.brought, bytes: done.bytes, docs, failed, evicted })
    }

    /// The repository for packages that lock files list under `hexpm`.
    fn base(&self, key: Option<&str>) -> Result<Repository, Refusal> {
        let key = key.map_or_else(|| self.setup().default_repository.to_string(), str::to_owned);
        self.repository(&key)
    }

    /// Refuses a repository that is served only through virtual repositories, because it would bypass their policies.
    fn check_direct(&self, repository: &Repository) -> Result<(), Refusal> {
        if repository.identity().direct {
            return Ok(());
        }
        Err(Refusal::NotDirect(self.virtuals_serving(repository.key())))
    }

    /// The virtual repositories that serve a repository without `direct`.
    pub(super) fn virtuals_serving(&self, key: &RepoName) -> IndirectRepository {
        let above = self.repositories().into_iter().filter_map(|one| {
            let composed = one.as_virtual().filter(|composed| one.identity().direct && composed.has_member(key))?;
            Some(composed.key().to_string())
        });
        IndirectRepository { key: key.to_string(), above: above.collect() }
    }

    /// Converts the releases of lock files to requests, and returns an error for each release where this is not
    /// possible.
    pub(super) fn wanted_releases(
        &self,
        repository: Option<&str>,
        releases: &LockedReleases,
    ) -> Result<(Vec<WantedRelease>, Vec<String>), Refusal> {
        let base = self.base(repository)?;
        self.check_direct(&base)?;
        let (mut wanted, mut failed) = (Vec::new(), Vec::new());
        for locked in releases {
            match self.wanted(&locked, &base, repository.is_some()) {
                Ok(one) => wanted.push(one),
                Err(refusal) => {
                    failed.push(format!("{} {}: {}", locked.package, locked.version, sentence(&refusal)));
                }
            }
        }
        Ok((wanted, failed))
    }

    /// Converts a release of a lock file to a request. With `explicit`, the user chose `base`, and it is also used for
    /// packages of repositories that are not configured.
    fn wanted(
        &self,
        locked: &LockFileRelease<'_>,
        base: &Repository,
        explicit: bool,
    ) -> Result<WantedRelease, Refusal> {
        let word = locked.repository.unwrap_or(HEXPM);
        let repository = match word.split_once(':') {
            Some((_, organization)) => self.repository(organization)?,
            None if word == HEXPM || word == base.name().as_str() || word == base.key().as_str() => base.clone(),
            None => match (self.repository(word), explicit) {
                (Ok(found), _) => found,
                (Err(_), true) => base.clone(),
                (Err(_), false) => {
                    return Err(Refusal::UnknownLockRepository(word.to_owned()));
                }
            },
        };
        self.check_direct(&repository)?;
        let digest = |text: Option<&str>| text.map(Sha256::from_hex).transpose();
        Ok(WantedRelease {
            repository,
            name: ArtifactName { package: locked.package.parse()?, version: locked.version.parse()? },
            inner: digest(locked.inner)?,
            outer: digest(locked.outer)?,
        })
    }
}

impl From<&PrefetchJob> for PrefetchExtent {
    fn from(asked: &PrefetchJob) -> Self {
        Self { docs: asked.docs, latest: asked.latest, closure: asked.closure }
    }
}
