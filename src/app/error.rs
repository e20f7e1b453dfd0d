//! Errors of the start and of a reload.

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

/// Why the program cannot start, or cannot apply a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A file of the store cannot be read or written.
    #[error(transparent)]
    File(#[from] StoreError),
    /// The files of a local repository cannot be compared with the database.
    #[error(transparent)]
    Local(#[from] LocalFailure),
    /// The database cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
    /// A signing key cannot be used.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// The HTTP client of an upstream cannot be created.
    #[error("cannot create the HTTP client for the upstream of repository `{key}`")]
    Upstream {
        /// Key of the repository.
        key: String,
        /// Cause.
        #[source]
        source: BuildError,
    },
    /// The HTTP client for the upstream of installers cannot be created.
    #[error("cannot create the HTTP client for the upstream of `installs`")]
    Installs(#[source] BuildError),
    /// The file in `installs.ca_file` cannot be read.
    #[error("installs.ca_file: cannot read {path}")]
    InstallsFile {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file in the settings of a repository cannot be read.
    #[error("repository `{key}`: cannot read {path}")]
    Read {
        /// Key of the repository.
        key: String,
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A repository has no public key.
    #[error("repository `{0}` has no public key")]
    NoKey(String),
    /// The default repository does not exist.
    #[error(transparent)]
    Default(#[from] NoDefault),
    /// The TLS certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be bound.
    #[error("cannot listen on {address}; is another program using it?")]
    Bind {
        /// The address, or the socket's path.
        address: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The server secret, which protects stored API keys and tokens, cannot be used.
    #[error(
        "cannot use the server secret in {path}: {why}; restore the file from a backup, or remove it to generate a new secret, which makes all API keys and tokens invalid"
    )]
    Secret {
        /// Path of its file.
        path: PathBuf,
        /// Reason.
        why: String,
    },
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}
