//! Installers of Hex, rebar3, Elixir and Erlang: `installs/…` and `builds/…`, the same below every base.
//!
//! They belong to no repository: one upstream serves them for the whole server, anonymously. Everyone who may connect
//! may read them, because Mix sends no credentials. A file is served only if it is in a list, and only with the
//! checksum in that list.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::error::MissingOffline;
use super::{CacheLifetime, RepoError, RequestContext};
use crate::cache::artifacts::{ArtifactCache, ArtifactOptions, ArtifactRequest, VerifiedArtifact};
use crate::cache::fill::ExpectedFile;
use crate::cache::freshness::{FreshnessRules, UpstreamMode};
use crate::cache::installer_lists::{BundledList as CarriedList, INSTALLS, ListCache, ListOptions, ListSnapshot};
use crate::cache::reader::Artifact;
use crate::cache::{CacheError, CacheStatus, Served, SharedCaches};
use crate::clock::Timestamp;
use crate::hex::checksum::{Sha256, Sha512};
use crate::hex::installs::{InstallFile, InstallsPath, List, ListedChecksum, ListedInstaller};
use crate::store::index::Tree;
use crate::trust::PublicKey;
use crate::upstream::Upstream;

/// How long a client that got a list also gets the signature and the files of this snapshot: Mix requests them
/// immediately.
const TOGETHER: Duration = Duration::from_secs(60);

/// How many clients are remembered for that.
const CLIENTS: u64 = 10_000;

/// If a list is older than this and has no entry, or a wrong one, for a requested file, it is fetched again.
const NEWER_AFTER: Duration = Duration::from_secs(1);

/// The settings for installers.
#[derive(Debug)]
pub struct InstallsOptions {
    /// The upstream's base URL.
    pub url: String,
    /// How long a list counts as fresh.
    pub ttl: Duration,
    /// How the upstream is used.
    pub network: UpstreamMode,
    /// The keys that may sign the lists.
    pub public_keys: Vec<PublicKey>,
    /// How long a missing or unusable answer is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take until its answer begins.
    pub deadline: Duration,
}

/// The installers.
#[derive(Debug)]
pub struct Installs {
    lists: Arc<ListCache>,
    files: ArtifactCache,
    shared: SharedCaches,
    given: moka::sync::Cache<(IpAddr, List), (Timestamp, Arc<ListSnapshot>)>,
    ttl: Duration,
    deadline: Duration,
}

/// A stored list and its stored files, each with its checksum in the list and its own digest.
pub type CarriedFiles = (CarriedList, Vec<(ListedChecksum, Sha256)>);

/// What a purge has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgedInstalls {
    /// Lists, each with its signature.
    pub lists: usize,
    /// Files from the lists.
    pub files: usize,
}

/// What is known about a file without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// The digest for its ETag; `None` for a file that is listed by another checksum and was never fetched.
    pub digest: Option<Sha256>,
    /// Its length, if it is stored.
    pub length: Option<u64>,
    /// How long clients may cache it.
    pub keep: CacheLifetime,
}

impl Installs {
    /// Installers of one upstream, with nothing in memory.
    pub fn new(options: InstallsOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        let lists = ListOptions {
            origin: options.url,
            rules: FreshnessRules {
                ttl: options.ttl,
                stale_while_revalidate: Duration::ZERO,
                // Clients can still install from an old list, but not without one.
                max_stale: Duration::MAX,
                network: options.network,
            },
            public_keys: options.public_keys,
            missing_ttl: options.missing_ttl,
            deadline: options.deadline,
        };
        let files = ArtifactOptions {
            key: INSTALLS.to_owned(),
            network: options.network,
            missing_ttl: options.missing_ttl,
            deadline: options.deadline,
        };
        Self {
            lists: Arc::new(ListCache::new(lists, shared.clone(), Arc::clone(&upstream))),
            files: ArtifactCache::new(files, shared.clone(), upstream),
            shared,
            given: moka::sync::Cache::new(CLIENTS),
            ttl: options.ttl,
            deadline: options.deadline,
        }
    }

    /// The content of a path, for a client at this address. Cancel safe.
    pub async fn get(
        &self,
        path: &InstallsPath,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<(VerifiedArtifact, CacheLifetime)>, RepoError> {
        let served = match path {
            InstallsPath::List(list) => self.list(list, client, context).await?,
            InstallsPath::Signature(list) => self.signature(list, client, context).await?,
            InstallsPath::File(file) => self.file(file, client, context).await?,
        };
        Ok(served.map(|proven| (proven, CacheLifetime::For(self.ttl))))
    }

    /// What is known about a file without its bytes: starts no fetch. Cancel safe.
    pub async fn file_head(
        &self,
        file: &InstallFile,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<FileHead>, RepoError> {
        let served = self.listed(file, client, context).await?;
        let digest = self.files.outer_digest(&expected_of(&served.value)?).await?;
        let length = match digest {
            Some(digest) => self.files.stored_length(digest).await?,
            None => None,
        };
        let keep = CacheLifetime::For(self.ttl);
        Ok(served.map(|_| FileHead { digest, length, keep }))
    }

    /// The upstream, for status reports.
    pub fn upstream(&self) -> &dyn Upstream {
        self.lists.upstream()
    }

    /// Removes all lists, and all files that were ever listed, from the cache.
    pub async fn purge(self: &Arc<Self>) -> Result<PurgedInstalls, CacheError> {
        self.given.invalidate_all();
        let installs = Arc::clone(self);
        self.shared.blocking(move |_| installs.purge_files()).await?
    }

    fn purge_files(&self) -> Result<PurgedInstalls, CacheError> {
        let mut purged = PurgedInstalls::default();
        let mut named: Vec<ExpectedFile> = Vec::new();
        self.lists.purge(&mut |list, snapshot| {
            purged.lists += 1;
            named.extend(list.checksums(&snapshot.list).map(expected));
        })?;
        // A file that is no longer in a list still has a record: only installers are recorded by such a checksum.
        let keys = self.shared.store.index.keys(Tree::Inner, "").unwrap_or_default();
        named.extend(keys.iter().filter_map(|key| Sha512::from_hex(key).ok()).map(ExpectedFile::Sha512));
        for expected in named {
            purged.files += usize::from(self.files.purge(&expected)?);
        }
        Ok(purged)
    }

    /// Reads every stored list again, and reports to `seen` whether it is undamaged; with `repair` damaged ones are
    /// removed. The files are checked with all other blobs. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(&List, bool)) -> Result<(), CacheError> {
        self.lists.scrub(repair, seen)
    }

    /// Every stored list with its stored files, each with its checksum in the list and its own digest. Blocks.
    pub fn carried(&self) -> Result<Vec<CarriedFiles>, CacheError> {
        let mut all = Vec::new();
        for carried in self.lists.all()? {
            let listed = carried.list.checksums(&carried.text);
            let mut files: Vec<(ListedChecksum, Sha256)> =
                listed.filter_map(|listed| Some((listed, self.files.stored(&expected(listed))?))).collect();
            files.sort_by_key(|(_, digest)| *digest);
            files.dedup_by_key(|(_, digest)| *digest);
            all.push((carried, files));
        }
        Ok(all)
    }

    /// Verifies a list from another server, and returns its entries.
    pub fn open(&self, list: &List, file: Bytes) -> Result<Vec<ListedChecksum>, CacheError> {
        let carried = self.lists.open(list, file)?;
        Ok(list.checksums(&carried.text).collect())
    }

    /// Stores a list from another server; `false` if there was no room. Blocks.
    pub fn take_in(&self, list: &List, file: Bytes) -> Result<bool, CacheError> {
        Ok(self.lists.import(list, file)?.is_none())
    }

    /// Records that a stored file has the checksum of a list entry. Blocks.
    pub fn note(&self, listed: ListedChecksum, digest: &Sha256) -> Result<(), CacheError> {
        self.files.record_outer_digest(&expected(listed), digest)
    }

    async fn list(
        &self,
        list: &List,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<VerifiedArtifact>, RepoError> {
        let served = self
            .lists
            .get(list, context.deadline)
            .await
            .map_err(|error| RepoError::of(error, MissingOffline::Installer, list))?;
        let given = (self.shared.clock.now(), Arc::clone(&served.value));
        self.given.insert((client, list.clone()), given);
        Ok(served.map(|snapshot| text(&snapshot.list)))
    }

    async fn signature(
        &self,
        list: &List,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<VerifiedArtifact>, RepoError> {
        let served = match self.given_to(client, list) {
            Some(given) => Served::at_once(given, CacheStatus::Hit),
            None => self.lists.get(list, context.deadline).await?,
        };
        let signature = served.value.signature.clone().ok_or(RepoError::NotFound)?;
        Ok(served.map(|_| text(&signature)))
    }

    /// The snapshot of a list that this client got a moment ago.
    fn given_to(&self, client: IpAddr, list: &List) -> Option<Arc<ListSnapshot>> {
        let (at, snapshot) = self.given.get(&(client, list.clone()))?;
        self.shared.clock.now().is_within(TOGETHER, at).then_some(snapshot)
    }

    async fn file(
        &self,
        file: &InstallFile,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<VerifiedArtifact>, RepoError> {
        let listed = self.listed(file, client, context).await?.value;
        let error = match self.files.get(self.wanted(file, &listed)?, context.deadline).await {
            Ok(served) => return Ok(served),
            Err(error) => error,
        };
        // The file may have been replaced, or removed, after its list was fetched.
        if matches!(error, CacheError::Untrusted(_) | CacheError::Replaced | CacheError::Missing)
            && let Ok(newest) = self.lists.get_newest(&file.list(), NEWER_AFTER, true, context.deadline).await
        {
            let again = file.list().find(&newest.list, file).ok_or(RepoError::NotFound)?;
            if again != listed || matches!(error, CacheError::Replaced) {
                return Ok(self.files.get(self.wanted(file, &again)?, context.deadline).await?);
            }
        }
        Err(match error {
            CacheError::Missing => CacheError::MissingListed.into(),
            error => RepoError::of(error, MissingOffline::Installer, file.path()),
        })
    }

    /// The entry of a file: in the list that this client got, else in the cached list, else in the newest one.
    async fn listed(
        &self,
        file: &InstallFile,
        client: IpAddr,
        context: RequestContext,
    ) -> Result<Served<ListedInstaller>, RepoError> {
        let list = file.list();
        if let Some(given) = self.given_to(client, &list)
            && let Some(listed) = list.find(&given.list, file)
        {
            return Ok(Served::at_once(listed, CacheStatus::Hit));
        }
        let served = self.lists.get(&list, context.deadline).await;
        let served = served.map_err(|error| RepoError::of(error, MissingOffline::Installer, file.path()))?;
        if let Some(listed) = list.find(&served.value.list, file) {
            return Ok(served.map(|_| listed));
        }
        let newest = self.lists.get_newest(&list, NEWER_AFTER, false, context.deadline).await;
        let newest = newest.map_err(|_| RepoError::NotFound)?;
        let listed = list.find(&newest.list, file).ok_or(RepoError::NotFound)?;
        Ok(Served::at_once(listed, CacheStatus::Miss))
    }

    fn wanted(&self, file: &InstallFile, listed: &ListedInstaller) -> Result<ArtifactRequest, RepoError> {
        let (lists, file, deadline) = (Arc::clone(&self.lists), file.clone(), self.deadline);
        let recheck = Box::new(move |actual: Sha256| {
            let check: BoxFuture<'static, bool> = Box::pin(async move {
                let until = Instant::now() + deadline;
                let newest = lists.get_newest(&file.list(), NEWER_AFTER, true, until).await;
                let listed = newest.ok().and_then(|newest| file.list().find(&newest.list, &file));
                listed.is_some_and(|listed| listed.checksum == Some(ListedChecksum::Sha256(actual)))
            });
            check
        });
        Ok(ArtifactRequest { path: listed.path.clone(), expected: expected_of(listed)?, recheck })
    }
}

fn text(bytes: &Bytes) -> VerifiedArtifact {
    VerifiedArtifact { artifact: Artifact::Memory(bytes.clone()), digest: Sha256::of(bytes) }
}

fn expected(checksum: ListedChecksum) -> ExpectedFile {
    match checksum {
        ListedChecksum::Sha512(digest) => ExpectedFile::Sha512(digest),
        ListedChecksum::Sha256(digest) => ExpectedFile::Outer(digest),
    }
}

fn expected_of(listed: &ListedInstaller) -> Result<ExpectedFile, RepoError> {
    listed.checksum.map(expected).ok_or_else(|| RepoError::NoListedChecksum { path: listed.path.as_str().into() })
}
