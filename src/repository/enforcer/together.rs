//! The policies at work in one process. What one of them learns of a tarball or an upstream counts for all.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::Enforcer;
use super::licences::Stated;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};

/// Tarballs that are on their way in at one time.
const SUPPOSED: u64 = 10_000;

/// The policies at work.
#[derive(Debug)]
pub struct Enforcers {
    all: RwLock<Vec<Weak<Enforcer>>>,
    /// Licences that tarballs state which are not proven yet.
    pub(super) supposed: moka::sync::Cache<Sha256, Stated>,
}

impl Default for Enforcers {
    /// Nobody yet.
    fn default() -> Self {
        Self { all: RwLock::default(), supposed: moka::sync::Cache::new(SUPPOSED) }
    }
}

impl Enforcers {
    pub(super) fn add(&self, enforcer: &Arc<Enforcer>) {
        let mut all = self.all.write();
        // Those of a configuration before.
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(enforcer));
    }

    /// What is known of the licences of a package's releases has changed: one states these, or, `None`, what was
    /// supposed to be stated is not.
    pub(super) fn learned(&self, source: &RepoName, package: &PackageName, stated: Option<&Stated>) {
        for enforcer in self.about(source) {
            enforcer.learned(source, package, stated);
        }
    }

    /// What a repository says of its packages has changed without its upstream: every judgement on them is an old one.
    pub fn changed(&self, source: &RepoName) {
        for enforcer in self.about(source) {
            enforcer.forget();
        }
    }

    /// Those that have rules for this repository.
    fn about(&self, source: &RepoName) -> Vec<Arc<Enforcer>> {
        let all = self.all.read();
        all.iter().filter_map(Weak::upgrade).filter(|one| one.rules(source).is_some()).collect()
    }
}
