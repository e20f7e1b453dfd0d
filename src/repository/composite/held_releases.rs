//! The releases that the policies of a view hold, for APIs outside the registry.

use std::collections::BTreeSet;

use super::VirtualRepository;
use super::package::ViewPackage;
use super::policy::{PackageSource, Verdict};
use crate::hex::name::{PackageName, RepoName};
use crate::policy::decide::Decision;
use crate::repository::enforcer::HiddenRelease;
use crate::repository::hidden_releases::HiddenReleases;
use crate::repository::{RepoError, RequestContext};

impl VirtualRepository {
    /// The releases of a package that the policy here holds; `key` is a member at any depth below this repository.
    pub(in crate::repository) async fn held_below(
        &self,
        key: &RepoName,
        package: &PackageName,
        context: RequestContext,
    ) -> Result<BTreeSet<Box<str>>, RepoError> {
        let enforcer = self.enforcer.as_ref().filter(|one| one.is_enforced() && one.rules(key).is_some());
        let (Some(enforcer), Some(repository)) = (enforcer, self.below(key)) else { return Ok(BTreeSet::new()) };
        let source = PackageSource { repository: &repository, package, context };
        let decisions = match source.decisions(enforcer, self.shared.clock.now()).await {
            Err(RepoError::NotFound) => return Ok(BTreeSet::new()),
            decisions => decisions?,
        };
        let held = decisions.into_iter().filter(|(_, said)| matches!(said.decision, Decision::Held { .. }));
        Ok(held.map(|(version, _)| version).collect())
    }
}

impl ViewPackage {
    /// Whether policies hide a version from the view that `is_asked` accepts.
    pub(in crate::repository) fn hides(&self, is_asked: &dyn Fn(&str) -> bool) -> bool {
        let is_hidden = |version: &str| is_asked(version) && !self.merged.is_shown(version);
        self.verdicts.iter().flat_map(Verdict::left_out).any(is_hidden)
            || self.below.iter().any(|below| below.hides(&is_hidden))
    }

    /// The releases that policies hide from the view.
    pub(in crate::repository) fn hidden(&self) -> Vec<HiddenRelease> {
        let own = self.verdicts.iter().flat_map(Verdict::hidden);
        let all = own.chain(self.below.iter().flat_map(HiddenReleases::releases));
        all.filter(|one| !self.merged.is_shown(&one.version)).collect()
    }
}
