//! What lock files name, brought before anybody asks for it.

use super::Failure;
use super::commands::Outcome;
use super::jobs::Prefetch;
use super::locked::{Locked, LockedReleases};
use super::operator::Operator;
use crate::hex::checksum::Sha256;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::repository::Repository;
use crate::tasks::prefetch::{self, Extent, Wanted};
use crate::tasks::report::Reporter;

/// What clients call the repository that they ask by default.
const HEXPM: &str = "hexpm";

impl Operator {
    pub(super) async fn prefetch(&self, asked: Prefetch, report: &Reporter) -> Result<Outcome, Failure> {
        let (wanted, mut failed) = self.all_wanted(asked.repository.as_deref(), &asked.releases)?;
        let evicted = self.shared.metrics.evicted.get();
        let extent = Extent::from(&asked);
        let (done, _) = prefetch::run(wanted, extent, report).await;
        failed.extend(done.failed);
        let docs = if asked.docs { format!(", {} have documentation here", done.docs) } else { String::new() };
        let mut outcome = Outcome::line(format!(
            "{} releases were there, {} were fetched ({} bytes){docs}; {} failed",
            done.there,
            done.brought,
            done.bytes,
            failed.len()
        ));
        outcome.failed = !failed.is_empty();
        outcome.remarks = failed.into_iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        if evicted > 0 {
            outcome.failed = true;
            outcome.remarks.push(format!(
                "hexkeep: {evicted} files were evicted meanwhile, perhaps some of these: storage.cache_limit is too small"
            ));
        }
        Ok(outcome)
    }

    /// The repository that stands for what clients call hexpm.
    fn base(&self, key: Option<&str>) -> Result<Repository, Failure> {
        let key = key.map_or_else(|| self.setup().default_repository.to_string(), str::to_owned);
        self.repository(&key)
    }

    /// Refuses a repository that is read through virtual ones alone: what those hold, nothing holds back there.
    fn is_taken_from(&self, repository: &Repository) -> Result<(), Failure> {
        if repository.identity().direct {
            return Ok(());
        }
        Err(Failure(format!("{}: name one of these", self.only_through(repository.key()))))
    }

    /// Says of a repository that is not `direct` through which virtual ones it is read.
    pub(super) fn only_through(&self, key: &RepoName) -> String {
        let above = self.repositories().into_iter().filter_map(|one| {
            let composed = one.as_virtual().filter(|composed| one.identity().direct && composed.has_below(key))?;
            Some(format!("`{}`", composed.key()))
        });
        match above.collect::<Vec<_>>().as_slice() {
            [] => format!("`{key}` is not read directly (`direct: false`)"),
            above => format!("`{key}` is read through {} alone", above.join(", ")),
        }
    }

    /// What lock files name, in the words of this configuration, and a sentence for each thing that cannot be asked for.
    pub(super) fn all_wanted(
        &self,
        repository: Option<&str>,
        releases: &LockedReleases,
    ) -> Result<(Vec<Wanted>, Vec<String>), Failure> {
        let base = self.base(repository)?;
        self.is_taken_from(&base)?;
        let (mut wanted, mut failed) = (Vec::new(), Vec::new());
        for locked in releases {
            match self.wanted(&locked, &base, repository.is_some()) {
                Ok(one) => wanted.push(one),
                Err(failure) => failed.push(format!("{} {}: {failure}", locked.package, locked.version)),
            }
        }
        Ok((wanted, failed))
    }

    /// What a lock file names, in the words of this configuration. With `explicit` the base was named by whoever asks,
    /// and stands for whatever name the client has given it.
    fn wanted(&self, locked: &Locked<'_>, base: &Repository, explicit: bool) -> Result<Wanted, Failure> {
        let word = locked.repository.unwrap_or(HEXPM);
        let repository = match word.split_once(':') {
            Some((_, organization)) => self.repository(organization)?,
            None if word == HEXPM || word == base.name().as_str() || word == base.key().as_str() => base.clone(),
            None => match (self.repository(word), explicit) {
                (Ok(found), _) => found,
                (Err(_), true) => base.clone(),
                (Err(_), false) => {
                    return Err(Failure(format!(
                        "there is no repository `{word}`; --repo says which one stands for it"
                    )));
                }
            },
        };
        self.is_taken_from(&repository)?;
        let failed = |error: &dyn std::error::Error| Failure::of(error);
        let digest = |text: Option<&str>| text.map(Sha256::from_hex).transpose();
        Ok(Wanted {
            repository,
            name: ArtifactName {
                package: locked.package.parse().map_err(|error| failed(&error))?,
                version: locked.version.parse().map_err(|error| failed(&error))?,
            },
            inner: digest(locked.inner).map_err(|error| failed(&error))?,
            outer: digest(locked.outer).map_err(|error| failed(&error))?,
        })
    }
}

impl From<&Prefetch> for Extent {
    fn from(asked: &Prefetch) -> Self {
        Self { docs: asked.docs, latest: asked.latest, closure: asked.closure }
    }
}
