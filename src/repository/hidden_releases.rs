//! The answer to a request for a registry resource, together with the releases that policies hide from it. Both come
//! from the same evaluation, so no repository is asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CacheLifetime;
use super::composite::ViewPackage;
use super::enforcer::{Enforcer, HiddenRelease, Judgement, notice};
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::hex::name::PackageName;
use crate::trust::SignedResource;

/// The answer to a request for a registry resource.
#[derive(Debug)]
pub struct RegistryAnswer {
    /// The signed resource.
    pub signed: SignedResource,
    /// How long clients may cache it.
    pub keep: CacheLifetime,
    /// The releases that it hides.
    pub(super) hidden: HiddenReleases,
}

/// The source of the hidden releases of a package; they are computed only when needed.
#[derive(Debug)]
pub(super) enum HiddenReleases {
    /// No release is hidden.
    Nothing,
    /// Those that the policy of a remote repository holds.
    Remote { enforcer: Arc<Enforcer>, judgement: Arc<Judgement>, present: Arc<ReadyResource> },
    /// Those that policies of a virtual repository and of its members hold.
    Virtual(ViewPackage),
}

impl HiddenReleases {
    /// Whether a version is hidden that `is_asked` accepts. As cheap as possible, because it runs for every answer.
    pub(super) fn hides(&self, is_asked: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Remote { enforcer, judgement, .. } => {
                enforcer.left_out(judgement).iter().any(|held| is_asked(&held.version))
            }
            Self::Virtual(found) => found.hides(is_asked),
        }
    }

    /// The hidden releases.
    pub(super) fn releases(&self) -> Vec<HiddenRelease> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Remote { enforcer, judgement, .. } => enforcer.hidden(judgement).collect(),
            Self::Virtual(found) => found.hidden(),
        }
    }

    /// The versions that are not among the `hidden` ones.
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
    /// Whether policies hide releases of the package from the answer.
    pub fn hides_releases(&self) -> bool {
        self.hidden.hides(&|_| true)
    }

    /// The text about the releases that policies hide from the answer: one line of printable ASCII. `None` if none is
    /// hidden.
    pub fn notice(&self, package: &PackageName) -> Option<String> {
        let hidden = self.hidden.releases();
        if hidden.is_empty() {
            return None;
        }
        let shown = self.hidden.shown(&hidden);
        notice(package, hidden, shown.into_iter())
    }
}

/// The content of a registry resource, which is signed if it is sent.
#[derive(Debug)]
pub(super) struct ResourceContent {
    pub(super) payload: Payload,
    pub(super) keep: CacheLifetime,
    pub(super) hidden: HiddenReleases,
}

impl ResourceContent {
    /// The answer with this content, signed.
    pub(super) fn answer(self, signed: SignedResource) -> RegistryAnswer {
        RegistryAnswer { signed, keep: self.keep, hidden: self.hidden }
    }
}

/// Hides no releases.
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

/// Hides no releases.
impl From<(SignedResource, CacheLifetime)> for RegistryAnswer {
    fn from((signed, keep): (SignedResource, CacheLifetime)) -> Self {
        Self { signed, keep, hidden: HiddenReleases::Nothing }
    }
}
