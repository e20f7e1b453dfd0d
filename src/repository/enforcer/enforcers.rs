//! The policies at work in one process. What one of them learns of a tarball or an upstream counts for all.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::Enforcer;
use super::licences::StatedLicences;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};

/// Tarballs whose licences are kept in memory after they were read: enough to decide about each, also where the disk is full.
const RECENT: u64 = 10_000;

/// The policies at work.
#[derive(Debug)]
pub struct Enforcers {
    all: RwLock<Vec<Weak<Enforcer>>>,
    /// Licences that were read lately, by the checksums of their tarballs.
    pub(super) recent: moka::sync::Cache<Sha256, StatedLicences>,
}

impl Default for Enforcers {
    /// Nobody yet.
    fn default() -> Self {
        Self { all: RwLock::default(), recent: moka::sync::Cache::new(RECENT) }
    }
}

impl Enforcers {
    pub(super) fn add(&self, enforcer: &Arc<Enforcer>) {
        let mut all = self.all.write();
        // Those of a configuration before.
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(enforcer));
    }

    /// What is known of the licences of a package's releases has changed: one states these.
    pub(super) fn learned(&self, source: &RepoName, package: &PackageName, stated: &StatedLicences) {
        for enforcer in self.about(source) {
            enforcer.learned(source, package, stated);
        }
    }

    /// What a repository says of its packages has changed without its upstream: every judgement on them is an old one.
    pub fn changed(&self, source: &RepoName) {
        for enforcer in self.about(source) {
            enforcer.forget_judgements();
        }
    }

    /// Those that have rules for this repository.
    fn about(&self, source: &RepoName) -> Vec<Arc<Enforcer>> {
        let all = self.all.read();
        all.iter().filter_map(Weak::upgrade).filter(|one| one.rules(source).is_some()).collect()
    }
}
