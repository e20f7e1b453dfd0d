//! All active policies of the process. They share what they learn about tarballs and upstreams.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::Enforcer;
use super::licences::StatedLicences;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};

/// How many tarballs have their licences in memory: enough for decisions about each, even if the disk is full.
const RECENT: u64 = 10_000;

/// The active policies.
#[derive(Debug)]
pub struct Enforcers {
    all: RwLock<Vec<Weak<Enforcer>>>,
    /// Licences that were read recently, by the checksums of their tarballs.
    pub(super) recent: moka::sync::Cache<Sha256, StatedLicences>,
}

impl Default for Enforcers {
    /// Without policies.
    fn default() -> Self {
        Self { all: RwLock::default(), recent: moka::sync::Cache::new(RECENT) }
    }
}

impl Enforcers {
    pub(super) fn add(&self, enforcer: &Arc<Enforcer>) {
        let mut all = self.all.write();
        // Policies of earlier configurations are removed.
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(enforcer));
    }

    /// Tells all policies that the licences of a release of this package have become known.
    pub(super) fn learned(&self, source: &RepoName, package: &PackageName, stated: &StatedLicences) {
        for enforcer in self.about(source) {
            enforcer.learned(source, package, stated);
        }
    }

    /// Tells all policies that data about the packages of this repository has changed on this server: all evaluations
    /// of them are outdated.
    pub fn changed(&self, source: &RepoName) {
        for enforcer in self.about(source) {
            enforcer.forget_judgements();
        }
    }

    /// The policies that have rules for this repository.
    fn about(&self, source: &RepoName) -> Vec<Arc<Enforcer>> {
        let all = self.all.read();
        all.iter().filter_map(Weak::upgrade).filter(|one| one.rules(source).is_some()).collect()
    }
}
