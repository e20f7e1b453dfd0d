//! Why the program cannot start, or cannot take a new configuration.

use std::io;
use std::path::PathBuf;

use crate::http::tls::TlsError;
use crate::operations::signing_keys::SigningKeyError;
use crate::repository::catalog::NoDefault;
use crate::repository::local::LocalFailure;
use crate::shutdown::TaskError;
use crate::state::StateError;
use crate::store::{OpenError, StoreError};
use crate::upstream::BuildError;

/// Why the program cannot start, or cannot take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A file of the store's own.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A local repository, whose files are compared with the database.
    #[error(transparent)]
    Local(#[from] LocalFailure),
    /// The durable state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A signing key.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// An upstream's client.
    #[error("repository `{key}` cannot talk to its upstream")]
    Upstream {
        /// The repository.
        key: String,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// An option of `installs` that cannot be used.
    #[error("`installs` cannot talk to its upstream")]
    Installs(#[source] BuildError),
    /// The file that `installs` names.
    #[error("installs.ca_file: {path} cannot be read")]
    InstallsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that a repository's settings name.
    #[error("repository `{key}`: {path} cannot be read")]
    Read {
        /// The repository.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A repository without a public key.
    #[error("repository `{0}` has no public key")]
    NoKey(String),
    /// The default repository.
    #[error(transparent)]
    Default(#[from] NoDefault),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address.
    #[error("cannot listen on {address}; is another program using it?")]
    Bind {
        /// The address, or the socket's path.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The secret under which keys and tokens are kept.
    #[error(
        "the server secret in {path} cannot be used: {why}; restore it from a backup, or move it away to get a new one, under which no key and no token is known"
    )]
    Secret {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
}
