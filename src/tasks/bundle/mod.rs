//! Bundles: all packages for a build in one signed file, for a server without network access.
//!
//! ```text
//! create: wanted releases → collected from their repositories → archive, signed with the bundle key
//! import: archive → verified, also with the key of each upstream → files → installer lists → packages → names
//! ```
//!
//! The signature of a bundle protects the contents without a signature of their own (docs, installers, pins). Resources
//! that an upstream has signed are verified again with the key of the upstream, and tarballs with the checksum in its
//! index, so a stolen bundle key cannot add packages to a store. Each file is verified by its content, for each purpose
//! that it is served for, whether it comes from this bundle, an earlier one, or the store. docs/STORE-FORMAT.md
//! describes the format.

pub mod archive;
pub mod contents;
pub mod import;
pub mod manifest;
pub mod verify;

use std::io;

use self::manifest::ManifestError;
use crate::cache::CacheError;
use crate::hex::checksum::Sha256;
use crate::repository::RepoError;
use crate::shutdown::TaskError;
use crate::store::blobs::BlobLookup;
use crate::store::vault::VaultError;
use crate::store::{Store, StoreError, StoredFile};
use crate::trust::{Fingerprint, SignError};

/// Why a bundle cannot be created, verified or imported.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file of the bundle cannot be read or written.
    #[error("cannot read or write the bundle")]
    Io(#[source] io::Error),
    /// A file of the store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a local repository cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A resource or release for the bundle is not available.
    #[error("cannot add {what} to the bundle")]
    Gather {
        /// Name of the resource or release.
        what: String,
        /// Cause.
        #[source]
        source: RepoError,
    },
    /// A file disappeared while the bundle was created.
    #[error("{0} was evicted from the cache while the bundle was created; increase storage.cache_limit")]
    Gone(String),
    /// The bundle cannot be signed.
    #[error("cannot sign the bundle")]
    Sign(#[from] SignError),
    /// The file is not a bundle.
    #[error("the file is not a bundle of hexkeep")]
    NoBundle,
    /// The format of the bundle is unknown.
    #[error("the bundle has the format {0}, which this version does not support; use the version that created it")]
    Format(u32),
    /// The bundle is incomplete.
    #[error("the bundle is incomplete; use another copy of it")]
    Truncated,
    /// The signature is invalid.
    #[error("the signature of the bundle is invalid: the bundle was changed or damaged after it was created")]
    Signature,
    /// The key of the signature is not trusted.
    #[error(
        "the bundle is signed with the key {0}, which is not trusted: compare it with the output of `hexkeep bundle key` on \
         the server that created the bundle, then use --trust, or add the key to bundles.trusted_keys"
    )]
    Untrusted(Fingerprint),
    /// The manifest is invalid.
    #[error("the manifest of the bundle is invalid")]
    Manifest(#[from] ManifestError),
    /// A file is not in the manifest, or not in its place.
    #[error("the bundle is invalid: its manifest does not list the file `{0}` at this position")]
    Path(String),
    /// A file does not match the manifest.
    #[error("the bundle is damaged: {0} does not match the manifest; use another copy of the bundle")]
    Damaged(String),
    /// A resource has an invalid signature, for example of another upstream.
    #[error("cannot verify {what} in the bundle; nothing was imported")]
    Unproven {
        /// Name of the resource.
        what: String,
        /// Cause.
        #[source]
        source: CacheError,
    },
    /// A tarball, documentation archive or installer is not in a signed index or list.
    #[error("{0} in the bundle does not match its signed index or list; nothing was imported")]
    Unlisted(String),
    /// An earlier bundle contained the file for another purpose.
    #[error("{0}, imported from an earlier bundle, does not match this bundle; nothing was imported")]
    Elsewhere(String),
    /// A repository of the bundle is not configured.
    #[error(
        "the bundle has packages of the repository `{0}`, which is not configured: add a remote repository with this key, or \
         with this `name`"
    )]
    NoRepository(String),
    /// A repository of the bundle is a local one here.
    #[error(
        "the bundle has packages of `{0}`, which is a local repository on this server, and bundles cannot be imported to \
         local repositories; configure `{0}` as a remote repository with the public key of the server that created the bundle"
    )]
    LocalRepository(String),
    /// The earlier bundle was not imported.
    #[error(
        "the bundle depends on the earlier bundle {since}: {count} files of it are missing, for example {first}; import the \
         earlier bundle first"
    )]
    Missing {
        /// Number of missing files.
        count: usize,
        /// The first missing file.
        first: String,
        /// Digest of the manifest of the earlier bundle.
        since: String,
    },
    /// The file has changed after it was verified.
    #[error("the bundle file changed during the import; import it again")]
    Changed,
    /// The client disconnected.
    #[error("the job was cancelled, because the client disconnected; run the command again to continue")]
    Abandoned,
    /// A file or list cannot be stored.
    #[error("cannot import {what}")]
    Take {
        /// Name of the file or resource.
        what: String,
        /// Cause.
        #[source]
        source: CacheError,
    },
    /// A registry resource cannot be stored.
    #[error("cannot import {what}")]
    TakeResource {
        /// Name of the file or resource.
        what: String,
        /// Cause.
        #[source]
        source: RepoError,
    },
    /// No disk space, or the cache limit is reached.
    #[error(
        "no space for {0}: the disk is full, or storage.cache_limit is reached; free some space or increase the limit, and \
         import the bundle again"
    )]
    NoRoom(String),
}

impl BundleError {
    fn damaged(digest: &Sha256) -> Self {
        Self::Damaged(format!("the file {digest}"))
    }
}

/// Opens a file of local repositories or of the cache, if it exists and is not damaged.
fn open(store: &Store, digest: &Sha256, is_local: bool) -> Result<Option<StoredFile>, BundleError> {
    if is_local {
        return Ok(store.local.open_blocking(*digest)?);
    }
    Ok(match store.blobs.open(digest)? {
        BlobLookup::Found(stored) => Some(stored),
        BlobLookup::Absent | BlobLookup::Damaged => None,
    })
}
