//! A release where it lives, with what each policy that applies to it says: the first half of a delivery.

use std::sync::Arc;

use crate::auth::ReadGrant;
use crate::cache::artifacts::ProvenArtifact;
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

/// Where a release lives.
#[derive(Clone, Debug)]
pub(in crate::repository) enum ReleaseHome {
    Remote(Arc<RemoteRepository>),
    Local(Arc<LocalRepository>),
}

/// A release, and what is decided about it. Its file and the judgements are of one state of its index.
#[derive(Debug)]
pub(in crate::repository) struct Located {
    pub(in crate::repository) home: ReleaseHome,
    /// What its file has to be.
    pub(in crate::repository) expected: ExpectedFile,
    /// The checksum by which its index, and so each policy, knows it.
    pub(in crate::repository) checksum: Option<Sha256>,
    /// How long others may keep its file.
    pub(in crate::repository) keep: CacheLifetime,
    /// What each policy that applies says, that of the outermost repository first.
    pub(in crate::repository) judged: Vec<Judged>,
}

/// What one policy says of the package of a release.
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

/// What `above`, the policies of the repositories through which a package is seen, say of it as it is in `shown`, which
/// its upstream confirmed at that time.
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

/// Whether any of these policies has rules for what lives in this repository.
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

    /// Refuses what an enforced policy holds.
    pub(super) fn refuse_held(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let mut enforced = self.judged.iter().filter(|one| one.enforcer.is_enforced());
        enforced.try_for_each(|one| {
            one.enforcer.ask(&one.judgement, name, asker)?;
            one.unknown.map_or(Ok(()), |why| one.enforcer.refuse_undecided(name, why, asker))
        })
    }

    /// Says what policies in a dry run would hold.
    pub(super) fn say_would_hold(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let mut dry = self.judged.iter().filter(|one| !one.enforcer.is_enforced());
        dry.try_for_each(|one| one.enforcer.ask(&one.judgement, name, asker))
    }

    /// The policies that have a rule about licences, and do not know those of this release.
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

    /// Reads the licences out of its file, which is whole, for those who do not know them.
    pub(super) async fn read_licences(&self, package: &PackageName, file: &ProvenArtifact) -> Result<(), RepoError> {
        let Some(checksum) = &self.checksum else { return Ok(()) };
        for one in self.undecided() {
            one.enforcer.read_licences((self.key(), package, checksum), file).await?;
        }
        Ok(())
    }

    /// What a delivery of its file would be written down for.
    pub(super) fn excused(&self, name: &ArtifactName) -> AllowingPolicies {
        let Some(checksum) = self.checksum else { return AllowingPolicies { release: None, policies: Vec::new() } };
        // What is excused from a rule has not been allowed by it, and what would be held is not either.
        let is_allowed =
            |one: &&Judged| one.unknown.is_none() && one.judgement.evaluation.allows(name.version.as_str());
        let policies = self.judged.iter().filter(is_allowed).map(|one| {
            let licences_known = one.judgement.allows_licences(name.version.as_str(), &checksum);
            (Arc::clone(&one.enforcer), licences_known)
        });
        AllowingPolicies { policies: policies.collect(), release: Some((self.key().clone(), checksum)) }
    }

    /// The digest of its file, where that is known before it is fetched.
    pub(super) async fn digest(&self) -> Result<Option<Sha256>, RepoError> {
        match (&self.home, &self.expected) {
            (_, ExpectedFile::Outer(digest)) => Ok(Some(*digest)),
            (ReleaseHome::Remote(remote), expected) => remote.known_digest(expected).await,
            (ReleaseHome::Local(_), _) => Ok(None),
        }
    }

    /// The length of its file, where it is stored.
    pub(super) async fn length(&self, digest: Sha256) -> Result<Option<u64>, RepoError> {
        match &self.home {
            ReleaseHome::Remote(remote) => remote.stored_length(digest).await,
            ReleaseHome::Local(local) => local.stored_length(digest).await,
        }
    }

    /// Its file; `None` where the release has been replaced meanwhile, and its index is another one by now.
    pub(super) async fn tarball(
        &self,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<Option<Served<ProvenArtifact>>, RepoError> {
        let found = match (&self.home, &self.expected) {
            (ReleaseHome::Remote(remote), expected) => remote.obtain_tarball(name, expected, context).await?,
            (ReleaseHome::Local(local), ExpectedFile::Outer(digest)) => Some(local.obtain_tarball(*digest).await?),
            (ReleaseHome::Local(_), _) => None,
        };
        // A file of another digest than the judged one is another file.
        let is_same = |file: &Served<ProvenArtifact>| match &self.expected {
            ExpectedFile::Outer(digest) | ExpectedFile::Both { outer: digest, .. } => file.value.digest == *digest,
            _ => true,
        };
        Ok(found.filter(is_same))
    }

    /// Its documentation, and how long others may keep it.
    pub(super) async fn docs(
        &self,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<Served<(ProvenArtifact, CacheLifetime)>, RepoError> {
        match &self.home {
            ReleaseHome::Remote(remote) => remote.obtain_docs(name, context).await,
            ReleaseHome::Local(local) => local.obtain_docs(name).await,
        }
    }

    /// Tells who warms caches that a client asks for it.
    pub(super) fn tell_asked(&self, name: &ArtifactName, context: RequestContext) {
        if let ReleaseHome::Remote(remote) = &self.home {
            remote.tell_asked(context, &name.package, Some(&name.version));
        }
    }

    /// Refuses it where the licences of its file count and cannot be known.
    pub(super) fn refuse_undecided(&self, name: &ArtifactName, asker: Asker<'_>) -> Result<(), RepoError> {
        let why = "its licences could not be read";
        self.undecided().try_for_each(|one| one.enforcer.refuse_undecided(name, why, asker))
    }
}

/// The policies that allow a release by themselves, for each of which its first delivery is written down.
#[derive(Debug)]
pub(super) struct AllowingPolicies {
    /// Where it lives, and the checksum by which it is known.
    release: Option<(RepoName, Sha256)>,
    /// Each with whether the licences of the release count, are known, and are allowed.
    policies: Vec<(Arc<Enforcer>, bool)>,
}

impl AllowingPolicies {
    /// Writes down that the file is delivered.
    pub(super) async fn write_delivery(&self, name: &ArtifactName) {
        let Some((key, checksum)) = &self.release else { return };
        for (enforcer, licences_known) in &self.policies {
            // Boxed: most answers have no policy, and each of them would be allocated with room for it.
            Box::pin(enforcer.delivered(key, name, checksum, *licences_known)).await;
        }
    }
}

impl Repository {
    /// The release of that name, with what its policies and those `above` it say: the policies of the repositories through
    /// which it is asked for, the outermost first. Does not ask whether it may be had. Cancel safe.
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
