//! Bundles: what a build needs, in one file that is carried to where there is no network.
//!
//! ```text
//! create: wanted releases → gathered from their repositories → archive, signed with the bundle key
//! import: archive → proven whole, under the key of each upstream → files → lists of installers → packages → names
//! ```
//!
//! The signature of a bundle says who vouches for what has no signature of its own (docs, installers, pins). What is
//! signed by an upstream is proven again by the upstream's key, and tarballs by the checksum in its index, so a bundle
//! key that is stolen puts no package into a store. A file is proven by its content as what it will be served as, wherever
//! it comes from: this bundle, an earlier one, or the store. The format is in docs/STORE-FORMAT.md.

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

/// Why a bundle was not made, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file.
    #[error("the bundle cannot be read or written")]
    Io(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files of local repositories.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// What is to go into it.
    #[error("{what} cannot be put into the bundle")]
    Gather {
        /// A resource or a release.
        what: String,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// What is to go into it was there a moment ago.
    #[error("{0} was evicted while the bundle was being made: storage.cache_limit is too small for it")]
    Gone(String),
    /// The bundle key.
    #[error("the bundle cannot be signed")]
    Sign(#[from] SignError),
    /// Something else.
    #[error("this is no bundle of hexkeep")]
    NoBundle,
    /// A later format.
    #[error("the bundle has the format {0}, which this version does not know; import it with the version that made it")]
    Format(u32),
    /// Its end is missing.
    #[error("the bundle is not whole: it ends early; take another copy of it")]
    Truncated,
    /// Its signature.
    #[error("the bundle is not what its signature says: it was changed after it was made, or damaged on its way")]
    Signature,
    /// A key that nobody has vouched for.
    #[error(
        "the bundle is signed with the key {0}, which is not trusted here: compare it with what `hexkeep bundle key` \
         prints where the bundle was made, and then give --trust, or put it under bundles.trusted_keys"
    )]
    Untrusted(Fingerprint),
    /// What it says of itself.
    #[error("the manifest of the bundle is not sound")]
    Manifest(#[from] ManifestError),
    /// Somebody has tampered with it.
    #[error("the bundle has a file `{0}` where its manifest has another or none: it is not taken")]
    Path(String),
    /// A file has changed.
    #[error("{0} in the bundle is not what its manifest says: the bundle is damaged, take another copy of it")]
    Damaged(String),
    /// It is of another upstream, or forged.
    #[error("{what} in the bundle does not verify here, so nothing of it is taken")]
    Unproven {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: CacheError,
    },
    /// A tarball, docs or an installer that nothing signed speaks of.
    #[error("{0} in the bundle is not what the index or list that has to name it says, so nothing of it is taken")]
    Unlisted(String),
    /// An earlier bundle has brought it as something else.
    #[error("{0}, which an earlier bundle has brought, is not what this bundle calls it, so nothing of it is taken")]
    Elsewhere(String),
    /// A repository that is not here.
    #[error(
        "the bundle has packages of the repository `{0}`: configure a remote repository with this key, or with this name \
         as its `name`"
    )]
    NoRepository(String),
    /// A repository that publishes itself.
    #[error(
        "the bundle has packages of `{0}`, which is a local repository here: what it holds is published to it, not \
         imported; configure `{0}` as a remote repository with the public key of the server that made the bundle"
    )]
    LocalRepository(String),
    /// The one that it builds on is missing.
    #[error(
        "the bundle builds on another one, of which {count} files are not here, {first} among them: import that one \
         first ({since})"
    )]
    Missing {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
        /// The digest of its manifest.
        since: String,
    },
    /// It is not the file that was proven.
    #[error("the bundle was changed while it was imported; import it again")]
    Changed,
    /// Whoever has ordered the work has gone.
    #[error("nobody waits for the bundle any more: give the command again to go on")]
    Abandoned,
    /// Something of our own.
    #[error("{what} cannot be taken in")]
    Take {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: CacheError,
    },
    /// A resource.
    #[error("{what} cannot be taken in")]
    TakeResource {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: RepoError,
    },
    /// No room.
    #[error(
        "there is no room for {0} on the disk, or below storage.cache_limit; make some and import the bundle again"
    )]
    NoRoom(String),
}

impl BundleError {
    fn damaged(digest: &Sha256) -> Self {
        Self::Damaged(format!("the file {digest}"))
    }
}

/// A sound file of local repositories, or of those that are cached.
fn open(store: &Store, digest: &Sha256, is_local: bool) -> Result<Option<StoredFile>, BundleError> {
    if is_local {
        return Ok(store.local.open_blocking(*digest)?);
    }
    Ok(match store.blobs.open(digest)? {
        BlobLookup::Found(stored) => Some(stored),
        BlobLookup::Absent | BlobLookup::Damaged => None,
    })
}
