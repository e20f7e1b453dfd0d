//! What lock files name, brought before anybody asks for it.

use serde::{Deserialize, Serialize};

use super::error::{OperationError, Refusal, Through};
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

/// What clients call the repository that they ask by default.
const HEXPM: &str = "hexpm";

/// What a prefetch brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefetched {
    /// Releases that were there already.
    pub there: u64,
    /// Releases that were brought.
    pub brought: u64,
    /// Bytes that were brought.
    pub bytes: u64,
    /// Documentation that is there or was brought; `None`: it was not asked for.
    pub docs: Option<u64>,
    /// A sentence for each thing that is not there.
    pub failed: Vec<String>,
    /// Files of the cache that were evicted meanwhile.
    pub evicted: u64,
}

impl Prefetched {
    pub(super) fn text(&self) -> Text {
        let Self { there, brought, bytes, docs, failed, evicted } = self;
        let docs = docs.map(|docs| format!(", {docs} have documentation here")).unwrap_or_default();
        let mut text = Text::line(format!(
            "{} there, {} fetched ({bytes} bytes){docs}; {} failed",
            count(*there, "release was", "releases were"),
            count(*brought, "was", "were"),
            failed.len()
        ));
        text.remarks = failed.iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
        if *evicted > 0 {
            text.remarks.push(format!(
                "hexkeep: {evicted} files were evicted meanwhile, perhaps some of these: storage.cache_limit is too small"
            ));
        }
        text.failed = !text.remarks.is_empty();
        text
    }
}

impl Operator {
    pub(super) async fn prefetch(&self, asked: PrefetchJob, report: &Reporter) -> Result<Prefetched, OperationError> {
        let (wanted, mut failed) = self.all_wanted(asked.repository.as_deref(), &asked.releases)?;
        let evicted = self.shared.metrics.evicted.get();
        let (done, _) = prefetch::run(wanted, PrefetchExtent::from(&asked), report).await;
        failed.extend(done.failed);
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        let docs = asked.docs.then_some(done.docs);
        Ok(Prefetched { there: done.there, brought: done.brought, bytes: done.bytes, docs, failed, evicted })
    }

    /// The repository that stands for what clients call hexpm.
    fn base(&self, key: Option<&str>) -> Result<Repository, Refusal> {
        let key = key.map_or_else(|| self.setup().default_repository.to_string(), str::to_owned);
        self.repository(&key)
    }

    /// Refuses a repository that is read through virtual ones alone: what those hold, nothing holds back there.
    fn is_taken_from(&self, repository: &Repository) -> Result<(), Refusal> {
        if repository.identity().direct {
            return Ok(());
        }
        Err(Refusal::NotDirect(self.only_through(repository.key())))
    }

    /// Through which virtual repositories one that is not `direct` is read.
    pub(super) fn only_through(&self, key: &RepoName) -> Through {
        let above = self.repositories().into_iter().filter_map(|one| {
            let composed = one.as_virtual().filter(|composed| one.identity().direct && composed.has_member(key))?;
            Some(composed.key().to_string())
        });
        Through { key: key.to_string(), above: above.collect() }
    }

    /// What lock files name, in the words of this configuration, and a sentence for each thing that cannot be asked for.
    pub(super) fn all_wanted(
        &self,
        repository: Option<&str>,
        releases: &LockedReleases,
    ) -> Result<(Vec<WantedRelease>, Vec<String>), Refusal> {
        let base = self.base(repository)?;
        self.is_taken_from(&base)?;
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

    /// What a lock file names, in the words of this configuration. With `explicit` the base was named by whoever asks,
    /// and stands for whatever name the client has given it.
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
                    return Err(Refusal::NothingStandsFor(word.to_owned()));
                }
            },
        };
        self.is_taken_from(&repository)?;
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
