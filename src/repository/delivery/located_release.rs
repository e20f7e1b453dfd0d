//! A release that was found, with the decision of each policy that applies: the first half of a delivery.

use std::sync::Arc;

use crate::auth::ReadGrant;
use crate::cache::artifacts::VerifiedArtifact;
use crate::cache::fill::ExpectedFile;
use crate::cache::payload::Payload;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::ArtifactName;
use crate::repository::composite::PackageSource;
use crate::repository::enforcer::{Asker, Enforcer, Judgement};
use crate::repository::{
    CacheLifetime, LocalRepository, RemoteRepository, RepoError, Repository, RequestContext, Served,
};

/// The repository that has a release.
#[derive(Clone, Debug)]
pub(in crate::repository) enum ReleaseHome {
    Remote(Arc<RemoteRepository>),
    Local(Arc<LocalRepository>),
}

/// A release, and the decisions about it. Its file and the decisions belong to the same version of its index.
#[derive(Debug)]
pub(in crate::repository) struct Located {
    pub(in crate::repository) home: ReleaseHome,
    /// The checksums that its file must have.
    pub(in crate::repository) expected: ExpectedFile,
    /// The checksum in its index, by which policies identify it.
    pub(in crate::repository) checksum: Option<Sha256>,
    /// How long clients may cache its file.
    pub(in crate::repository) keep: CacheLifetime,
    /// The decision of each policy that applies, that of the outermost repository first.
    pub(in crate::repository) judged: Vec<Judged>,
}

/// One policy's decision about the package of a release.
#[derive(Debug)]
pub(in crate::repository) struct Judged {
    pub(in crate::repository) enforcer: Arc<Enforcer>,
    pub(in crate::repository) judgement: Arc<Judgement>,
    /// Why rules that apply cannot be decided at all.
    pub(in crate::repository) unknown: Option<&'static str>,
}

impl Judged {
    pub(in crate::repository) fn new(enforcer: &Arc<Enforcer>, judgement: Arc<Judgement>) -> Self {
        Self { enforcer: Arc::clone(enforcer), judgement, unknown: None }
    }
}

/// Evaluates `above`, the policies of the repositories through which a package is seen, for the package as it is in
/// `shown`. Its upstream confirmed that at `confirmed_at`.
pub(in crate::repository) async fn judged_by(
    above: &[Arc<Enforcer>],
    source: PackageSource<'_>,
    shown: &Payload,
    confirmed_at: Timestamp,
) -> Result<Vec<Judged>, RepoError> {
    let mut judged = Vec::new();
    for enforcer in above.iter().filter(|one| one.rules(source.repository.key()).is_some()) {
        let judgement = source.judge(enforcer, shown, confirmed_at).await?;
        judged.push(Judged::new(enforcer, judgement));
    }
    Ok(judged)
}

/// Whether any of these policies has rules for this repository.
pub(in crate::repository) fn any_applies(above: &[Arc<Enforcer>], home: &RepoName) -> bool {
    above.iter().any(|one| one.rules(home).is_some())
}

impl Located {
    fn key(&self) -> &RepoName {
        match &self.home {
            ReleaseHome::Remote(remote) => remote.key(),
            ReleaseHome::Local(local) => local.key(),
        }
    }

    /// Fails if an enforced policy holds the release.
    pub(super) fn refuse_held(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let mut enforced = self.judged.iter().filter(|one| one.enforcer.is_enforced());
        enforced.try_for_each(|one| {
            one.enforcer.check_held(&one.judgement, name, asker)?;
            one.unknown.map_or(Ok(()), |why| one.enforcer.refuse_undecided(name, why, asker))
        })
    }

    /// Reports the release if a policy in a dry run would hold it.
    pub(super) fn say_would_hold(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let mut dry = self.judged.iter().filter(|one| !one.enforcer.is_enforced());
        dry.try_for_each(|one| one.enforcer.check_held(&one.judgement, name, asker))
    }

    /// The policies that need the licences of this release and do not know them.
    fn undecided(&self) -> impl Iterator<Item = &Judged> {
        let is_unread = |one: &&Judged| {
            self.checksum.as_ref().is_none_or(|checksum| one.enforcer.asks_for_licences(&one.judgement, checksum))
        };
        self.judged.iter().filter(is_unread)
    }

    /// Whether every rule that applies has been decided.
    pub(super) fn is_decided(&self) -> bool {
        self.undecided().next().is_none()
    }

    /// Reads the licences from its complete file, for the policies that need them.
    pub(super) async fn read_licences(&self, package: &PackageName, file: &VerifiedArtifact) -> Result<(), RepoError> {
        let Some(checksum) = &self.checksum else { return Ok(()) };
        for one in self.undecided() {
            one.enforcer.read_licences((self.key(), package, checksum), file).await?;
        }
        Ok(())
    }

    /// The policies for which a delivery of its file is recorded.
    pub(super) fn excused(&self, name: &ArtifactName) -> AllowingPolicies {
        let Some(checksum) = self.checksum else { return AllowingPolicies { release: None, policies: Vec::new() } };
        // An exempt release has not been allowed by the rule; neither has one that would be held.
        let is_allowed = |one: &&Judged| {
            one.unknown.is_none() && one.judgement.evaluation.allows_without_exemption(name.version.as_str())
        };
        let policies = self.judged.iter().filter(is_allowed).map(|one| {
            let licences_known = one.judgement.allows_licences(name.version.as_str(), &checksum);
            (Arc::clone(&one.enforcer), licences_known)
        });
        AllowingPolicies { policies: policies.collect(), release: Some((self.key().clone(), checksum)) }
    }

    /// The digest of its file, if it is known before the file is fetched.
    pub(super) async fn digest(&self) -> Result<Option<Sha256>, RepoError> {
        match (&self.home, &self.expected) {
            (_, ExpectedFile::Outer(digest)) => Ok(Some(*digest)),
            (ReleaseHome::Remote(remote), expected) => remote.known_digest(expected).await,
            (ReleaseHome::Local(_), _) => Ok(None),
        }
    }

    /// The length of its file, if it is stored.
    pub(super) async fn length(&self, digest: Sha256) -> Result<Option<u64>, RepoError> {
        match &self.home {
            ReleaseHome::Remote(remote) => remote.stored_length(digest).await,
            ReleaseHome::Local(local) => local.stored_length(digest).await,
        }
    }

    /// Its file; `None` if the release was replaced meanwhile, so that its index has changed.
    pub(super) async fn tarball(
        &self,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<Option<Served<VerifiedArtifact>>, RepoError> {
        let found = match (&self.home, &self.expected) {
            (ReleaseHome::Remote(remote), expected) => remote.obtain_tarball(name, expected, context).await?,
            (ReleaseHome::Local(local), ExpectedFile::Outer(digest)) => Some(local.obtain_tarball(*digest).await?),
            (ReleaseHome::Local(_), _) => None,
        };
        // A file with another digest than the evaluated one is a different file.
        let is_same = |file: &Served<VerifiedArtifact>| match &self.expected {
            ExpectedFile::Outer(digest) | ExpectedFile::Both { outer: digest, .. } => file.value.digest == *digest,
            _ => true,
        };
        Ok(found.filter(is_same))
    }

    /// Its documentation, and how long clients may cache it.
    pub(super) async fn docs(
        &self,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<Served<(VerifiedArtifact, CacheLifetime)>, RepoError> {
        match &self.home {
            ReleaseHome::Remote(remote) => remote.obtain_docs(name, context).await,
            ReleaseHome::Local(local) => local.obtain_docs(name).await,
        }
    }

    /// Tells the prefetcher that a client has requested the release.
    pub(super) fn tell_asked(&self, name: &ArtifactName, context: RequestContext) {
        if let ReleaseHome::Remote(remote) = &self.home {
            remote.tell_asked(context, &name.package, Some(&name.version));
        }
    }

    /// Fails if a policy needs the licences of the release and they could not be read.
    pub(super) fn refuse_undecided(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let why = "its licences could not be read";
        self.undecided().try_for_each(|one| one.enforcer.refuse_undecided(name, why, asker))
    }
}

/// The policies that allow a release without an exemption. For each of them its first delivery is recorded.
#[derive(Debug)]
pub(super) struct AllowingPolicies {
    /// The repository that has it, and its checksum in the index.
    release: Option<(RepoName, Sha256)>,
    /// Each with whether it needs the licences of the release, knows them and allows them.
    policies: Vec<(Arc<Enforcer>, bool)>,
}

impl AllowingPolicies {
    /// Records that the file is delivered.
    pub(super) async fn write_delivery(&self, name: &ArtifactName) {
        let Some((key, checksum)) = &self.release else { return };
        for (enforcer, licences_known) in &self.policies {
            // Boxed: most answers have no policy, and each would reserve memory for it.
            Box::pin(enforcer.delivered(key, name, checksum, *licences_known)).await;
        }
    }
}

impl Repository {
    /// Finds the release, and evaluates its policies and those `above` it: the policies of the repositories through
    /// which it is requested, the outermost first. Does not check whether it is held. Cancel safe.
    pub(in crate::repository) async fn locate(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        context: RequestContext,
    ) -> Result<Served<Located>, RepoError> {
        match self {
            Self::Remote(remote) => remote.locate(grant, name, above, context).await,
            Self::Local(local) => local.locate(grant, name, above, context).await,
            Self::Virtual(composed) => composed.locate(grant, name, above, context).await,
        }
    }
}
