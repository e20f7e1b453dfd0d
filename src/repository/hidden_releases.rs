//! A registry resource as a caller is answered with it, and which releases policies hide from it. The answer in hand is
//! what is spoken of, so nobody is asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CacheLifetime;
use super::composite::ViewPackage;
use super::enforcer::{Enforcer, HiddenRelease, Judgement, notice};
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::hex::name::PackageName;
use crate::trust::SignedResource;

/// A registry resource for a caller.
#[derive(Debug)]
pub struct RegistryAnswer {
    /// What is sent.
    pub signed: SignedResource,
    /// How long it may be kept.
    pub keep: CacheLifetime,
    /// What is known of releases that it does not show.
    pub(super) hidden: HiddenReleases,
}

/// What it takes to say which releases of a package are hidden; it is cheap until it is said.
#[derive(Debug)]
pub(super) enum HiddenReleases {
    /// None is.
    Nothing,
    /// Those that the policy of a remote repository holds.
    Remote { enforcer: Arc<Enforcer>, judgement: Arc<Judgement>, present: Arc<ReadyResource> },
    /// Those that policies of a virtual repository and of its members hold.
    Virtual(ViewPackage),
}

impl HiddenReleases {
    /// Whether a version is hidden about which `is_asked`; as cheap as it can be, for every answer.
    pub(super) fn hides(&self, is_asked: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Remote { enforcer, judgement, .. } => {
                enforcer.left_out(judgement).iter().any(|held| is_asked(&held.version))
            }
            Self::Virtual(found) => found.hides(is_asked),
        }
    }

    /// The releases that are hidden.
    pub(super) fn releases(&self) -> Vec<HiddenRelease> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Remote { enforcer, judgement, .. } => enforcer.hidden(judgement).collect(),
            Self::Virtual(found) => found.hidden(),
        }
    }

    /// The versions of those that are not, where `hidden` are.
    fn shown(&self, hidden: &[HiddenRelease]) -> BTreeSet<&str> {
        match self {
            Self::Nothing => BTreeSet::new(),
            Self::Remote { present, .. } => {
                let releases = present.index.as_package().map(|index| index.releases.as_slice()).unwrap_or_default();
                let versions = releases.iter().map(|release| &*release.version);
                versions.filter(|version| hidden.iter().all(|one| &*one.version != *version)).collect()
            }
            Self::Virtual(found) => found.merged.shown().collect(),
        }
    }
}

impl RegistryAnswer {
    /// Whether policies leave releases of a package out of the answer.
    pub fn hides_releases(&self) -> bool {
        self.hidden.hides(&|_| true)
    }

    /// One line of printable ASCII about the releases of this package that policies leave out of the answer; nothing where
    /// they leave out none.
    pub fn notice(&self, package: &PackageName) -> Option<String> {
        let hidden = self.hidden.releases();
        if hidden.is_empty() {
            return None;
        }
        let shown = self.hidden.shown(&hidden);
        notice(package, hidden, shown.into_iter())
    }
}

/// What a repository shows of a registry resource: what is signed, if it is sent.
#[derive(Debug)]
pub(super) struct ResourceContent {
    pub(super) payload: Payload,
    pub(super) keep: CacheLifetime,
    pub(super) hidden: HiddenReleases,
}

impl ResourceContent {
    /// The answer with it.
    pub(super) fn answer(self, signed: SignedResource) -> RegistryAnswer {
        RegistryAnswer { signed, keep: self.keep, hidden: self.hidden }
    }
}

/// From which nothing is hidden.
impl From<(Payload, CacheLifetime)> for ResourceContent {
    fn from((payload, keep): (Payload, CacheLifetime)) -> Self {
        Self { payload, keep, hidden: HiddenReleases::Nothing }
    }
}

/// A package of a view.
impl From<ViewPackage> for ResourceContent {
    fn from(found: ViewPackage) -> Self {
        Self { payload: found.merged.payload.clone(), keep: found.keep, hidden: HiddenReleases::Virtual(found) }
    }
}

/// From which nothing is hidden.
impl From<(SignedResource, CacheLifetime)> for RegistryAnswer {
    fn from((signed, keep): (SignedResource, CacheLifetime)) -> Self {
        Self { signed, keep, hidden: HiddenReleases::Nothing }
    }
}
