//! A registry resource that is ready to be served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::fill::ExpectedFile;
use super::gate::RefusedReleases;
use super::payload::Payload;
use super::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::index::{Index, Release};

/// The signature that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The upstream's: its bytes are sent unchanged.
    Upstream,
    /// Ours.
    Own,
}

/// A verified resource, its payload for clients, and its freshness.
#[derive(Clone, Debug)]
pub struct ReadyResource {
    /// The payload with the upstream's signature, if the repository serves it.
    pub(super) upstream: Option<Payload>,
    /// The payload that we sign, edited by the gate, if the repository serves it.
    pub(super) own: Option<Payload>,
    /// The decoded payload of the upstream.
    pub index: Arc<Index>,
    /// Releases in it that may not be served.
    pub refused: Arc<RefusedReleases>,
    /// By version: the checksums that the file of a release must have, if more of them are known than the index lists.
    pub expected_files: Arc<BTreeMap<Box<str>, ExpectedFile>>,
    /// When the upstream last confirmed it.
    pub confirmed_at: Timestamp,
    /// When the upstream removed it, if it is kept all the same.
    pub removed_at: Option<Timestamp>,
    /// Only for a resource from a bundle that the upstream has not confirmed since: when the upstream last confirmed
    /// the resource that it replaced; 0 if never.
    pub(super) carried: Option<Timestamp>,
    /// Digest of the upstream's bytes.
    pub source: Sha256,
    /// The upstream's validators.
    pub validators: Validators,
}

impl ReadyResource {
    /// The payload with this signature; `None` if the repository does not offer it.
    pub fn payload(&self, by: SignedBy) -> Option<&Payload> {
        match by {
            SignedBy::Upstream => self.upstream.as_ref(),
            SignedBy::Own => self.own.as_ref(),
        }
    }

    /// The payload with either signature; the upstream's is preferred.
    pub fn any_payload(&self) -> Option<&Payload> {
        self.upstream.as_ref().or(self.own.as_ref())
    }

    /// The checksums that the file of a release must have; `None` if none is known.
    pub fn expected(&self, release: &Release) -> Option<ExpectedFile> {
        let by_index = || release.outer.map(ExpectedFile::Outer).or(release.inner.map(ExpectedFile::Inner));
        self.expected_files.get(&release.version).cloned().or_else(by_index)
    }

    /// Approximate memory use in bytes.
    pub(super) fn weight(&self) -> usize {
        let releases = match &*self.index {
            Index::Package(package) => package.releases.len(),
            Index::Names(_) | Index::Versions(_) | Index::Policy(_) => 0,
        };
        let bodies = [&self.upstream, &self.own].into_iter().flatten().map(Payload::memory_bytes);
        512 + bodies.sum::<usize>() + releases * 160
    }

    /// Whether this list may be used to decide that a name does not exist upstream. A list from a bundle may be of any
    /// age, so it counts only if the list that it replaced was confirmed at most `max_stale` ago.
    pub(super) fn proves_absence(&self, now: Timestamp, max_stale: Duration) -> bool {
        let is_known = |at: Timestamp| at.as_millis() > 0 && now.since(at) <= max_stale;
        self.carried.is_none_or(is_known)
    }

    /// What would be lost if this index were replaced by `newer`.
    pub(super) fn regress(&self, newer: &Index) -> Option<ListRegression> {
        ListRegression::between(&self.index, newer)
    }
}

impl ListRegression {
    /// What `newer` has lost compared to `older`.
    pub(super) fn between(older: &Index, newer: &Index) -> Option<Self> {
        match (older, newer) {
            (Index::Package(old), Index::Package(new)) => {
                let kept: BTreeSet<&str> = new.releases.iter().map(|release| &*release.version).collect();
                let lost: Vec<Box<str>> = old
                    .releases
                    .iter()
                    .filter(|release| !kept.contains(&*release.version))
                    .map(|release| release.version.clone())
                    .collect();
                (!lost.is_empty()).then_some(Self::Releases(lost))
            }
            (Index::Names(old), Index::Names(new)) if new.newest < old.newest => Some(Self::RolledBack(format!(
                "the newest date in `names` was {}, now it is {}",
                time(old.newest),
                time(new.newest)
            ))),
            (Index::Names(old), Index::Names(new)) if new.packages < old.packages => {
                Some(Self::RolledBack(format!("`names` had {} packages, now it has {}", old.packages, new.packages)))
            }
            (Index::Versions(old), Index::Versions(new)) if new.releases < old.releases => {
                Some(Self::RolledBack(format!("`versions` had {} releases, now it has {}", old.releases, new.releases)))
            }
            _ => None,
        }
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "missing".to_owned(), |at| at.to_string())
}

/// What a newer index has lost compared to the older one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListRegression {
    /// Releases, by version.
    Releases(Vec<Box<str>>),
    /// Packages, releases or time, as a sentence.
    RolledBack(String),
}
