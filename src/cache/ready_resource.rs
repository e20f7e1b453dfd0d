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

/// Whose signature a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The upstream's: its bytes go out as they came.
    Upstream,
    /// Ours.
    Own,
}

/// A verified resource, what goes out for it, and how fresh it is.
#[derive(Clone, Debug)]
pub struct ReadyResource {
    /// What upstream has signed, where its bytes are served.
    pub(super) upstream: Option<Payload>,
    /// What of it the gate shows, where that goes out under our signature.
    pub(super) own: Option<Payload>,
    /// What upstream's payload says.
    pub index: Arc<Index>,
    /// Releases in it that may not be served.
    pub refused: Arc<RefusedReleases>,
    /// By version what the file of a release has to be, where more is known of it than the index says.
    pub demands: Arc<BTreeMap<Box<str>, ExpectedFile>>,
    /// When the upstream confirmed it last.
    pub confirmed_at: Timestamp,
    /// When the upstream was seen to have removed it, where it is kept all the same.
    pub removed_at: Option<Timestamp>,
    /// Of what came in a bundle and was not confirmed by the upstream since: when it had confirmed last what was here before;
    /// 0: never.
    pub(super) carried: Option<Timestamp>,
    /// Digest of upstream's bytes.
    pub source: Sha256,
    /// Upstream's validators.
    pub validators: Validators,
}

impl ReadyResource {
    /// What goes out under this signature; `None` where the repository does not offer it.
    pub fn payload(&self, by: SignedBy) -> Option<&Payload> {
        match by {
            SignedBy::Upstream => self.upstream.as_ref(),
            SignedBy::Own => self.own.as_ref(),
        }
    }

    /// What goes out, under whichever signature: upstream's first.
    pub fn any_payload(&self) -> Option<&Payload> {
        self.upstream.as_ref().or(self.own.as_ref())
    }

    /// What the file of a release of its index has to be; `None` where nothing is known of it.
    pub fn expected(&self, release: &Release) -> Option<ExpectedFile> {
        let by_index = || release.outer.map(ExpectedFile::Outer).or(release.inner.map(ExpectedFile::Inner));
        self.demands.get(&release.version).cloned().or_else(by_index)
    }

    /// About how many bytes of memory this takes.
    pub(super) fn weight(&self) -> usize {
        let releases = match &*self.index {
            Index::Package(package) => package.releases.len(),
            Index::Names(_) | Index::Versions(_) | Index::Policy(_) => 0,
        };
        let bodies = [&self.upstream, &self.own].into_iter().flatten().map(Payload::held);
        512 + bodies.sum::<usize>() + releases * 160
    }

    /// Whether the upstream has said of it, at most `max_stale` ago, what it does not have. What came in a bundle may be of any
    /// age: it says no more of that than what was here before it.
    pub(super) fn speaks_of_absence(&self, now: Timestamp, max_stale: Duration) -> bool {
        let is_known = |at: Timestamp| at.as_millis() > 0 && now.since(at) <= max_stale;
        self.carried.is_none_or(is_known)
    }

    /// What an index that is to replace this one would lose.
    pub(super) fn regress(&self, newer: &Index) -> Option<ListRegression> {
        ListRegression::between(&self.index, newer)
    }
}

impl ListRegression {
    /// What `newer` would lose of `older`.
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
                "the newest package of `names` was of {}, now it is of {}",
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
    at.map_or_else(|| "no date".to_owned(), |at| at.to_string())
}

/// What a newer index has less than the older one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListRegression {
    /// These versions.
    Releases(Vec<Box<str>>),
    /// Packages, releases or time; a sentence.
    RolledBack(String),
}
