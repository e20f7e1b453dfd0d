//! The signing keys of this server: read from their files, or generated at first use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::{Store, StoreError};
use crate::trust::{Encoder, KeyError, PrivateKey, Signer};

/// Size in bits of a generated key: the same as for hex.pm, and fast to verify for every client.
pub const KEY_BITS: usize = 2048;

/// Why a signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The key file cannot be read.
    #[error("cannot read the signing key `{id}` from {path}")]
    Read {
        /// Id of the key.
        id: String,
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file contains no usable key.
    #[error("cannot use the signing key `{id}` in {path}")]
    Key {
        /// Id of the key.
        id: String,
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: KeyError,
    },
    /// A new key cannot be generated.
    #[error("cannot generate a signing key")]
    Generate(#[source] KeyError),
    /// A new key cannot be written to its file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key cannot sign.
    #[error("the signing key cannot sign")]
    Sign(#[source] KeyError),
    /// No key has the id in `active`.
    #[error("signing.active is not the id of a key in signing.keys")]
    NoActive,
}

/// Id and file of a signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Id of the key.
    pub id: String,
    /// Absolute path; `None`: the file `keys/ID.pem` in the storage path, generated at first use.
    pub path: Option<PathBuf>,
}

/// The keys of a configuration. Each key is loaded once, at first use.
#[derive(Debug)]
pub struct SigningKeys {
    files: Vec<KeyFile>,
    /// Id of the key that signs.
    active: String,
    loaded: Mutex<Vec<(String, Arc<Signer>)>>,
    /// Shared, so that a resource that is signed with several keys is compressed only once.
    encoder: Encoder,
}

impl SigningKeys {
    /// Creates a set of keys. The key with the id `active` signs. No key is loaded yet.
    pub fn new(files: Vec<KeyFile>, active: String) -> Self {
        Self { files, active, loaded: Mutex::default(), encoder: Encoder::default() }
    }

    /// Ids and files of all keys.
    pub(super) fn files(&self) -> &[KeyFile] {
        &self.files
    }

    /// The signer with the active key. Blocks. Generates a key without a file at first use.
    pub fn active(&self, store: &Store) -> Result<Arc<Signer>, SigningKeyError> {
        self.signer(store, &self.active)
    }

    /// All signers with their ids, the active one first. Blocks, like [`SigningKeys::active`].
    pub fn all(&self, store: &Store) -> Result<Vec<(String, Arc<Signer>)>, SigningKeyError> {
        let mut ids: Vec<&str> = self.files.iter().map(|key| key.id.as_str()).collect();
        ids.sort_by_key(|id| *id != self.active);
        ids.into_iter().map(|id| Ok((id.to_owned(), self.signer(store, id)?))).collect()
    }

    fn signer(&self, store: &Store, id: &str) -> Result<Arc<Signer>, SigningKeyError> {
        let mut loaded = self.loaded.lock();
        if let Some((_, signer)) = loaded.iter().find(|(loaded, _)| loaded == id) {
            return Ok(Arc::clone(signer));
        }
        let file = self.files.iter().find(|key| key.id == id).ok_or(SigningKeyError::NoActive)?;
        let key = load_or_make(store, file)?;
        let signer = Signer::with_encoder(&key, self.encoder.clone()).map_err(SigningKeyError::Sign)?;
        let signer = Arc::new(signer);
        loaded.push((id.to_owned(), Arc::clone(&signer)));
        Ok(signer)
    }
}

fn load_or_make(store: &Store, file: &KeyFile) -> Result<PrivateKey, SigningKeyError> {
    match &file.path {
        Some(path) => load(&file.id, path),
        None => made_here(store, &file.id, &format!("keys/{}.pem", file.id)),
    }
}

/// The key that signs bundles. It is separate, so that users can trust the bundles of this server without trusting its
/// registry, and the other way round. No signing key can have the same file name.
pub(super) fn bundle_signer(store: &Store) -> Result<Signer, SigningKeyError> {
    Signer::new(&made_here(store, "bundle", "keys/bundle.key")?).map_err(SigningKeyError::Sign)
}

/// Loads the key in the file `name` in the storage path, or generates it at first use.
fn made_here(store: &Store, id: &str, name: &str) -> Result<PrivateKey, SigningKeyError> {
    let path = store.root().join(name);
    if path.exists() {
        return load(id, &path);
    }
    let key = PrivateKey::generate(KEY_BITS).map_err(SigningKeyError::Generate)?;
    let pem = key.to_pem().map_err(SigningKeyError::Generate)?;
    store.write_own(name, pem.expose().as_bytes())?;
    tracing::info!(
        id, fingerprint = %key.public().fingerprint(), path = %path.display(),
        "generated a signing key; keep a copy of it, because clients verify with its public key"
    );
    Ok(key)
}

fn load(id: &str, path: &Path) -> Result<PrivateKey, SigningKeyError> {
    let read = fs::read_to_string(path);
    let text = read.map_err(|source| SigningKeyError::Read { id: id.to_owned(), path: path.to_path_buf(), source })?;
    PrivateKey::from_pem(&text).map_err(|source| SigningKeyError::Key {
        id: id.to_owned(),
        path: path.to_path_buf(),
        source,
    })
}
