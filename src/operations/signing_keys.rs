//! The server's own signing keys: read from their files, or made at first need.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::{Store, StoreError};
use crate::trust::{Encoder, KeyError, PrivateKey, Signer};

/// Bits of a key that is made here: what hex.pm has, and what every client verifies quickly.
pub const KEY_BITS: usize = 2048;

/// Why a signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Its file cannot be read.
    #[error("the signing key `{id}` cannot be read from {path}")]
    Read {
        /// Its id.
        id: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its file holds no key that can be used.
    #[error("the signing key `{id}` in {path} cannot be used")]
    Key {
        /// Its id.
        id: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A new one cannot be made.
    #[error("a signing key cannot be made")]
    Generate(#[source] KeyError),
    /// A new one cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot sign.
    #[error("the signing key cannot sign")]
    Sign(#[source] KeyError),
    /// `active` names none of the keys.
    #[error("signing.active names no key")]
    NoActive,
}

/// Where a signing key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Its id.
    pub id: String,
    /// Absolute; `None`: it is made at first need, below the storage path as `keys/ID.pem`.
    pub path: Option<PathBuf>,
}

/// The keys of a configuration; each is loaded once, when it is needed.
#[derive(Debug)]
pub struct SigningKeys {
    files: Vec<KeyFile>,
    /// The id of the one that signs.
    active: String,
    loaded: Mutex<Vec<(String, Arc<Signer>)>>,
    /// What is sealed with several keys is compressed once.
    encoder: Encoder,
}

impl SigningKeys {
    /// Keys of which the one with the id `active` signs. Loads nothing yet.
    pub fn new(files: Vec<KeyFile>, active: String) -> Self {
        Self { files, active, loaded: Mutex::default(), encoder: Encoder::default() }
    }

    /// Where they are.
    pub(super) fn files(&self) -> &[KeyFile] {
        &self.files
    }

    /// The signer that signs. Blocks; makes the key where it has no file and was not needed before.
    pub fn active(&self, store: &Store) -> Result<Arc<Signer>, SigningKeyError> {
        self.signer(store, &self.active)
    }

    /// All signers by id, the active one first. Blocks, as [`SigningKeys::active`] does.
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

/// The key that signs bundles: of their own, so that who takes bundles of this server need not take its registry's word,
/// nor the other way round. Its file is named so that no signing key's can be.
pub(super) fn bundle_signer(store: &Store) -> Result<Signer, SigningKeyError> {
    Signer::new(&made_here(store, "bundle", "keys/bundle.key")?).map_err(SigningKeyError::Sign)
}

/// The key in the file `name` below the storage path, made at first need.
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
        "made a signing key; keep a copy of it, since others verify with its public half"
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
