//! What the configuration in force gives orders to work with. The composition root makes it; a reload puts another one in
//! its place.

use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

use super::Refusal;
use super::signing_keys::SigningKeys;
use crate::auth::Accounts;
use crate::client_setup::Endpoint;
use crate::hex::name::RepoName;
use crate::repository::{Installs, Repository};
use crate::size::ByteSize;
use crate::trust::{Fingerprint, PublicKey};

/// What the configuration in force gives orders to work with.
#[derive(Debug)]
pub struct Setup {
    /// All repositories.
    pub repositories: Vec<Managed>,
    /// The one that answers at `/`.
    pub default_repository: RepoName,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// The installers.
    pub installs: Arc<Installs>,
    /// The server's own keys.
    pub signing_keys: Arc<SigningKeys>,
    /// Keys that may have signed a bundle.
    pub trusted_bundle_keys: Vec<Fingerprint>,
    /// Most bytes of the cache; zero is no limit.
    pub cache_limit: ByteSize,
    /// How long a request may take.
    pub deadline: Duration,
    /// Scheme and authority under which clients reach the public listener.
    pub public_url: String,
}

/// A repository, and what orders have to know of its configuration.
#[derive(Debug)]
pub struct Managed {
    /// The repository.
    pub repository: Repository,
    /// By which its upstream's resources are verified.
    pub upstream_keys: Vec<PublicKey>,
    /// Whether its resources are signed with the server's own key at its own addresses.
    pub is_signed_here: bool,
    /// Whether it can be signed with the server's own key at some address.
    pub can_be_signed: bool,
    /// By what it is mirrored.
    pub mirror: Option<MirrorSchedule>,
    /// What clients have to know of it.
    pub endpoint: Endpoint,
}

/// How a repository is mirrored without an order.
#[derive(Clone, Debug)]
pub struct MirrorSchedule {
    /// From the end of a run to the beginning of the next.
    pub every: Duration,
    /// Names of packages.
    pub packages: GlobSet,
    /// So many of the newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Documentation, too.
    pub docs: bool,
    /// Requests under way at one time; zero is no limit.
    pub connections: usize,
    /// Bytes a second; `None`: as fast as it goes.
    pub rate: Option<u64>,
}

impl Setup {
    /// A repository by its key.
    pub(super) fn managed(&self, key: &str) -> Result<&Managed, Refusal> {
        self.repositories.iter().find(|one| one.repository.key().as_str() == key).ok_or_else(|| {
            let known = self.repositories.iter().map(|one| one.repository.key().to_string());
            Refusal::NoRepository { key: key.to_owned(), known: known.collect() }
        })
    }
}
