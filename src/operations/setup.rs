//! The parts of the active configuration that commands and jobs use. The room `app` builds it; a reload replaces it.

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

/// The parts of the active configuration that commands and jobs use.
#[derive(Debug)]
pub struct Setup {
    /// All repositories.
    pub repositories: Vec<Managed>,
    /// The repository that is served at `/`.
    pub default_repository: RepoName,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// The installers.
    pub installs: Arc<Installs>,
    /// The signing keys of this server.
    pub signing_keys: Arc<SigningKeys>,
    /// Keys whose bundles are trusted.
    pub trusted_bundle_keys: Vec<Fingerprint>,
    /// Maximum size of the cache in bytes; zero is no limit.
    pub cache_limit: ByteSize,
    /// Time limit of a request.
    pub deadline: Duration,
    /// URL at which clients reach the public listener.
    pub public_url: String,
}

/// A repository, and the parts of its configuration that commands use.
#[derive(Debug)]
pub struct Managed {
    /// The repository.
    pub repository: Repository,
    /// Public keys that verify the resources of its upstream.
    pub upstream_keys: Vec<PublicKey>,
    /// Whether its resources are signed with the key of this server at its own addresses.
    pub is_signed_here: bool,
    /// Whether its resources can be signed with the key of this server at any address.
    pub can_be_signed: bool,
    /// Schedule of its mirror.
    pub mirror: Option<MirrorSchedule>,
    /// What clients have to know of it.
    pub endpoint: Endpoint,
}

/// Schedule and options of a mirror in the configuration.
#[derive(Clone, Debug)]
pub struct MirrorSchedule {
    /// Time from the end of a run to the start of the next.
    pub every: Duration,
    /// Pattern of package names.
    pub packages: GlobSet,
    /// Number of newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Include documentation.
    pub docs: bool,
    /// Maximum number of concurrent requests; zero is no limit.
    pub connections: usize,
    /// Maximum bytes per second; `None`: no limit.
    pub rate: Option<u64>,
}

impl Setup {
    /// The repository with this key.
    pub(super) fn managed(&self, key: &str) -> Result<&Managed, Refusal> {
        self.repositories.iter().find(|one| one.repository.key().as_str() == key).ok_or_else(|| {
            let known = self.repositories.iter().map(|one| one.repository.key().to_string());
            Refusal::NoRepository { key: key.to_owned(), known: known.collect() }
        })
    }
}
