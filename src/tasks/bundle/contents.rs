//! Collects the contents of a bundle. For each release: the tarball, its docs, and the signed index of its package,
//! from the repository that has the release. For each of these repositories: `names` and `versions`, if it has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::BundleError;
use super::archive::Source;
use super::manifest::{Digest, FORMAT, Installer, Manifest, Named, Object, Part, Tarball};
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::index::{Index, PackageIndex, dependencies};
use crate::hex::installs::ListedChecksum;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::{
    DeliveryExtent, DeliveryOrder, Installs, LocalRepository, ReleaseFile, RemoteRepository, RepoError, Repository,
};
use crate::shutdown;
use crate::store::Store;
use crate::tasks::bundle::archive::Opened;
use crate::tasks::prefetch::{WantedRelease, context, grant};

/// The contents of a bundle.
#[derive(Debug)]
pub struct BundleContents {
    /// The manifest.
    pub manifest: Manifest,
    /// Location of each file.
    pub sources: HashMap<Sha256, Source>,
}

/// The packages and releases that a bundle takes from one repository.
struct RepositoryShare {
    repository: Repository,
    packages: BTreeSet<PackageName>,
    /// Releases, each with the digest of the file that clients get.
    releases: BTreeMap<ArtifactName, Option<Sha256>>,
}

/// The files of a bundle, without duplicates, and their locations.
#[derive(Default)]
struct Files {
    objects: BTreeMap<Sha256, u64>,
    sources: HashMap<Sha256, Source>,
}

impl Files {
    fn bytes(&mut self, bytes: Bytes) -> Digest {
        let digest = Sha256::of(&bytes);
        self.objects.insert(digest, bytes.len() as u64);
        self.sources.insert(digest, Source::Bytes(bytes));
        Digest(digest)
    }

    fn stored(
        &mut self,
        digest: Sha256,
        length: Option<u64>,
        source: Source,
        what: &str,
    ) -> Result<Digest, BundleError> {
        let length = length.ok_or_else(|| BundleError::Gone(what.to_owned()))?;
        self.objects.insert(digest, length);
        self.sources.insert(digest, source);
        Ok(Digest(digest))
    }
}

/// Collects the files of the releases in `wanted`, which were downloaded before; with `docs` also their docs, and with
/// `installs` all cached installers. Files that the bundle `since` has are left out.
pub async fn run(
    wanted: &[WantedRelease],
    docs: bool,
    installs: Option<Arc<Installs>>,
    since: Option<&Opened>,
    store: &Arc<Store>,
) -> Result<BundleContents, BundleError> {
    let mut files = Files::default();
    let mut repositories = Vec::new();
    for share in shares(wanted).await?.into_values() {
        repositories.push(part(share, docs, store, &mut files).await?);
    }
    let (mut lists, mut installers) = (Vec::new(), Vec::new());
    if let Some(installs) = installs {
        let failed = |source| BundleError::Take { what: "the installers".to_owned(), source };
        let carried = shutdown::blocking(move || installs.carried()).await;
        for (carried, of) in carried?.map_err(failed)? {
            lists.push(Named { name: carried.list.file_name(), sha256: files.bytes(carried.file) });
            for (listed, digest) in of {
                let length = store.blobs.length(&digest);
                let sha256 = files.stored(digest, length, Source::Cached, &format!("the installer {listed}"))?;
                let sha512 = match listed {
                    ListedChecksum::Sha512(sha512) => Some(sha512.to_string()),
                    ListedChecksum::Sha256(_) => None,
                };
                installers.push(Installer { sha256, sha512 });
            }
        }
    }
    installers.sort_by(|one, other| (one.sha256, &one.sha512).cmp(&(other.sha256, &other.sha512)));
    installers.dedup();
    let had: BTreeSet<Digest> = since
        .into_iter()
        .flat_map(|since| since.manifest.objects.iter().chain(&since.manifest.elsewhere))
        .map(|object| object.sha256)
        .collect();
    let objects = files.objects.into_iter().map(|(digest, size)| Object { sha256: Digest(digest), size });
    let (elsewhere, objects) = objects.partition(|object| had.contains(&object.sha256));
    let since = since.map(|since| Digest(since.digest));
    let mut manifest = Manifest { format: FORMAT, since, repositories, lists, installers, objects, elsewhere };
    manifest.arrange()?;
    Ok(BundleContents { manifest, sources: files.sources })
}

async fn shares(wanted: &[WantedRelease]) -> Result<BTreeMap<RepoName, RepositoryShare>, BundleError> {
    let mut shares: BTreeMap<RepoName, RepositoryShare> = BTreeMap::new();
    for one in wanted {
        let failed = |source| BundleError::Gather { what: one.to_string(), source };
        // A release that the chosen repository does not serve is not put into a bundle, even if a member would serve
        // it.
        let order = DeliveryOrder::internal(ReleaseFile::Tarball, DeliveryExtent::Whole);
        let delivered = one.repository.deliver(&grant(&one.repository), &one.name, order, context()).await;
        let digest = delivered.map_err(failed)?.value.digest();
        let (owner, parts) = sources(&one.repository, &one.name).await.map_err(failed)?;
        for repository in parts.into_iter().chain([owner.clone()]) {
            let share = shares.entry(repository.key().clone()).or_insert_with(|| RepositoryShare {
                repository: repository.clone(),
                packages: BTreeSet::new(),
                releases: BTreeMap::new(),
            });
            share.packages.insert(one.name.package.clone());
            if repository.is(&owner) {
                share.releases.insert(one.name.clone(), digest);
            }
        }
    }
    Ok(shares)
}

/// The repository that has a release, and all repositories that contribute to the index of its package. None is
/// virtual.
fn sources<'a>(
    repository: &'a Repository,
    name: &'a ArtifactName,
) -> BoxFuture<'a, Result<(Repository, Vec<Repository>), RepoError>> {
    Box::pin(async move {
        let Repository::Virtual(composed) = repository else {
            return Ok((repository.clone(), vec![repository.clone()]));
        };
        let (owner, members) = composed.sources(&grant(repository), name, context()).await?;
        let mut all = Vec::new();
        for member in members {
            match sources(&member, name).await {
                Ok((_, parts)) => all.extend(parts),
                // The member has the package, but not this release.
                Err(RepoError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((sources(&owner, name).await?.0, all))
    })
}

async fn part(share: RepositoryShare, docs: bool, store: &Arc<Store>, files: &mut Files) -> Result<Part, BundleError> {
    let RepositoryShare { repository, packages, releases } = share;
    let mut part = Part {
        key: repository.key().to_string(),
        name: repository.name().to_string(),
        resources: Vec::new(),
        tarballs: Vec::new(),
        docs: Vec::new(),
        exemptions: Vec::new(),
    };
    let mut indexes = HashMap::new();
    let mut beside = BTreeSet::new();
    for package in &packages {
        let resource = RegistryResource::Package(package.clone());
        let failed = |source| BundleError::Gather { what: resource.to_string(), source };
        let found = resource_of(&repository, &resource).await.map_err(failed)?;
        let Signed { bytes, payload, index } = found.ok_or_else(|| BundleError::Gone(resource.to_string()))?;
        part.resources.push(Named { name: resource.path(), sha256: files.bytes(bytes) });
        beside.extend(unlocked(&payload, package, &releases, &repository));
        if let Index::Package(index) = index {
            indexes.insert(package.clone(), index);
        }
    }
    let lists = [RegistryResource::Names, RegistryResource::Versions];
    let beside = beside.difference(&packages).cloned().map(RegistryResource::Package);
    // These are optional: a registry may not have them, and a build from lock files does not need them.
    for resource in lists.into_iter().chain(beside) {
        if let Ok(Some(Signed { bytes, .. })) = resource_of(&repository, &resource).await {
            part.resources.push(Named { name: resource.path(), sha256: files.bytes(bytes) });
        }
    }
    for (name, digest) in releases {
        let index = indexes.get(&name.package);
        let tarball = match &repository {
            Repository::Remote(remote) => of_remote(remote, &name, index, files).await?,
            Repository::Local(local) => of_local(local, &name, index, store, files).await?,
            Repository::Virtual(_) => return Err(BundleError::Gone(name.tarball_path())),
        };
        // The release may have just been replaced, and the policy has not evaluated the new file.
        if digest.is_some_and(|digest| Digest(digest) != tarball.sha256) {
            return Err(BundleError::Gone(name.tarball_path()));
        }
        part.tarballs.push(tarball);
        if docs && let Some(digest) = docs_of(&repository, &name).await? {
            let (length, source) = match &repository {
                Repository::Local(_) => (local_length(store, digest).await?, Source::Local),
                _ => (store.blobs.length(&digest), Source::Cached),
            };
            let sha256 = files.stored(digest, length, source, &name.docs_path())?;
            part.docs.push(Named { name: name.to_string(), sha256 });
        }
    }
    Ok(part)
}

/// The dependencies of the wanted releases of a package. A client that resolves versions requests the index of each of
/// them, also of optional ones that are in no lock file.
fn unlocked(
    payload: &[u8],
    package: &PackageName,
    releases: &BTreeMap<ArtifactName, Option<Sha256>>,
    repository: &Repository,
) -> Vec<PackageName> {
    let is_wanted = |version: &str| {
        releases.keys().any(|release| release.package == *package && release.version.as_str() == version)
    };
    let own = repository.name().as_str();
    let of = dependencies(payload).unwrap_or_default().into_iter().filter(|(version, _)| is_wanted(version));
    let here = of.flat_map(|(_, of)| of).filter(|one| one.repository.as_deref().is_none_or(|name| name == own));
    here.filter_map(|one| one.package.parse().ok()).collect()
}

/// A signed registry resource.
struct Signed {
    bytes: Bytes,
    payload: Bytes,
    index: Index,
}

/// A resource with the signature of its publisher, refreshed from the upstream if possible.
async fn resource_of(repository: &Repository, resource: &RegistryResource) -> Result<Option<Signed>, RepoError> {
    let asked = repository.registry(&grant(repository), resource, repository.signature(), context()).await;
    if let Repository::Remote(remote) = repository {
        // The stored resource is always the one from the upstream, even if the request failed.
        let resource = resource.clone();
        let stored = remote.blocking(move |remote| remote.stored(&resource)).await??;
        return Ok(stored.map(|verified| Signed {
            bytes: verified.gzip().clone(),
            payload: verified.payload().clone(),
            index: verified.into_index(),
        }));
    }
    let body = asked?.value.signed.body().clone();
    let (opened, resource) = (body, resource.clone());
    let signed = shutdown::blocking(move || {
        let envelope = Envelope::open(opened.clone(), resource.max_payload()).ok()?;
        let index = Index::decode(&resource, &envelope.payload).ok()?;
        Some(Signed { bytes: opened, payload: envelope.payload, index })
    });
    Ok(signed.await.ok().flatten())
}

/// A cached tarball that would be served to clients: it matches all known checksums, and none of them is refused.
async fn of_remote(
    remote: &Arc<RemoteRepository>,
    name: &ArtifactName,
    index: Option<&PackageIndex>,
    files: &mut Files,
) -> Result<Tarball, BundleError> {
    let gone = || BundleError::Gone(name.tarball_path());
    let failed = |source| BundleError::Gather { what: name.tarball_path(), source };
    let release = index.and_then(|index| index.release(&name.version)).ok_or_else(gone)?.clone();
    let inner = if release.outer.is_none() { release.inner.map(Digest) } else { None };
    let present = remote.present(&RegistryResource::Package(name.package.clone())).await.map_err(failed)?;
    let present = present.ok_or_else(gone)?;
    let proven = remote.blocking(move |remote| remote.stored_tarball(&present, &release)).await.map_err(failed)?;
    let (digest, stored) = proven.ok_or_else(gone)?;
    let sha256 = files.stored(digest, Some(stored.length), Source::Cached, &name.tarball_path())?;
    Ok(Tarball { name: name.to_string(), sha256, inner })
}

/// The length of a file of local repositories, if the file exists.
async fn local_length(store: &Store, digest: Sha256) -> Result<Option<u64>, BundleError> {
    Ok(store.local.stat(digest.into()).await?.map(|stat| stat.length))
}

async fn of_local(
    local: &LocalRepository,
    name: &ArtifactName,
    index: Option<&PackageIndex>,
    store: &Store,
    files: &mut Files,
) -> Result<Tarball, BundleError> {
    let gone = || BundleError::Gone(format!("{} of {}", name.tarball_path(), local.key()));
    let release = index.and_then(|index| index.release(&name.version)).ok_or_else(gone)?;
    let digest = release.outer.ok_or_else(gone)?;
    let sha256 = files.stored(digest, local_length(store, digest).await?, Source::Local, &name.tarball_path())?;
    Ok(Tarball { name: name.to_string(), sha256, inner: None })
}

/// The digest of the docs of a release, if it has docs.
async fn docs_of(repository: &Repository, name: &ArtifactName) -> Result<Option<Sha256>, BundleError> {
    let order = DeliveryOrder::internal(ReleaseFile::Docs, DeliveryExtent::Whole);
    match repository.deliver(&grant(repository), name, order, context()).await {
        Ok(served) => Ok(served.value.digest()),
        Err(RepoError::NotFound | RepoError::Offline { .. }) => Ok(None),
        Err(source) => Err(BundleError::Gather { what: name.docs_path(), source }),
    }
}
