//! Keeps the last good copy of one unsigned file of an upstream on disk.
//!
//! The owner of the file decides whether a new copy is good, and then calls [`DumpFile::keep`]; until then the previous
//! copy stays. A copy is used only with the upstream that it came from.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::SharedCaches;
use super::error::CacheError;
use super::validators::Validators;
use crate::hex::checksum::Sha256;
use crate::store::Store;
use crate::store::slots::{Area, Slot};
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::upstream::{Fetched, Upstream, UpstreamRequest};

const MAGIC: &[u8] = b"hexkeep-dump 1 ";

/// Maximum length of the header line, in bytes.
const HEAD: usize = 16 * 1024;

/// Where the file is upstream, and its name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpOptions {
    /// Key of the repository that uses the file.
    pub key: String,
    /// Its name in the store.
    pub name: &'static str,
    /// The upstream's base URL.
    pub origin: String,
    /// Its path below that URL.
    pub path: String,
    /// Maximum length of the file, in bytes.
    pub most: usize,
}

/// A file of an upstream, whose last good copy is on disk.
#[derive(Debug)]
pub struct DumpFile {
    options: DumpOptions,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
}

/// A copy of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCopy {
    /// The file.
    pub bytes: Bytes,
    /// The validators for asking whether the file has changed.
    pub validators: Validators,
}

/// The header line before the stored file.
#[derive(Debug, Deserialize, Serialize)]
struct CopyHeader<'a> {
    origin: Cow<'a, str>,
    path: Cow<'a, str>,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl DumpFile {
    /// Describes a file; reads nothing.
    pub fn new(options: DumpOptions, shared: SharedCaches, upstream: Arc<dyn Upstream>) -> Self {
        Self { options, shared, upstream }
    }

    /// Fetches the file before `deadline`; `None` if it still matches `validators`.
    pub async fn fetch(&self, validators: &Validators, deadline: Instant) -> Result<Option<FileCopy>, CacheError> {
        let request = UpstreamRequest {
            etag: validators.etag.clone(),
            last_modified: validators.last_modified.clone(),
            ..UpstreamRequest::get(self.options.path.clone(), self.options.most as u64)
        };
        match self.upstream.fetch(request, deadline).await.map_err(CacheError::upstream)? {
            Fetched::Missing { .. } => Err(CacheError::Missing),
            Fetched::NotModified => Ok(None),
            Fetched::Body(body) => {
                let validators = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
                let bytes = body.read_to_end().await.map_err(CacheError::upstream)?;
                Ok(Some(FileCopy { bytes, validators }))
            }
        }
    }

    /// The copy on disk, if it is undamaged and from this upstream. Blocks.
    pub fn stored(&self) -> Option<FileCopy> {
        let slot = self.slot().ok()?;
        let content = self.shared.store.slots.read(&slot, self.most()).ok()??;
        if let Some((head, bytes)) = decode(&content.bytes) {
            let ours = head.origin == self.options.origin && head.path == self.options.path;
            let validators = Validators { etag: head.etag, last_modified: head.last_modified };
            return ours.then_some(FileCopy { bytes, validators });
        }
        tracing::error!(%slot, "a stored dump is damaged: it is removed and will be fetched again");
        let labels = ReasonLabels { repository: Word::from(self.options.key.as_str()), reason: "dump" };
        self.shared.metrics.damaged.get_or_create(&labels).inc();
        if let Err(error) = self.shared.store.slots.remove(&slot) {
            tracing::warn!(%slot, error = &error as &dyn std::error::Error, "a damaged file could not be removed");
        }
        None
    }

    /// Stores a good copy. If that fails, the file is fetched again after a restart. Blocks.
    pub fn keep(&self, copy: &FileCopy) {
        let Ok(slot) = self.slot() else { return };
        let head = CopyHeader {
            origin: Cow::Borrowed(&self.options.origin),
            path: Cow::Borrowed(&self.options.path),
            etag: copy.validators.etag.clone(),
            last_modified: copy.validators.last_modified.clone(),
        };
        if let Err(error) = self.shared.store.slots.write(&slot, &encode(&head, &copy.bytes)) {
            tracing::warn!(%slot, error = &error as &dyn std::error::Error, "a dump could not be stored");
        }
    }

    /// Whether the copy on disk is undamaged; `None` without a copy. With `repair` a damaged one is removed. Blocks.
    pub fn scrub(&self, repair: bool) -> Result<Option<(String, bool)>, CacheError> {
        let (slot, store): (Slot, &Store) = (self.slot()?, &self.shared.store);
        let Some(content) = store.slots.read(&slot, self.most()).map_err(CacheError::internal)? else {
            return Ok(None);
        };
        let is_sound = decode(&content.bytes).is_some();
        if !is_sound && repair {
            store.slots.remove(&slot).map_err(CacheError::internal)?;
        }
        Ok(Some((slot.to_string(), is_sound)))
    }

    fn slot(&self) -> Result<Slot, CacheError> {
        Slot::new(Area::Dumps, &self.options.key, self.options.name).map_err(CacheError::internal)
    }

    fn most(&self) -> u64 {
        (self.options.most + HEAD) as u64
    }
}

fn encode(head: &CopyHeader<'_>, file: &[u8]) -> Vec<u8> {
    // A struct of texts always has a JSON form.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let body = [&head, b"\n".as_slice(), file].concat();
    [MAGIC, Sha256::of(&body).to_string().as_bytes(), b"\n", &body].concat()
}

fn decode(bytes: &Bytes) -> Option<(CopyHeader<'static>, Bytes)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, body) = (rest.get(..64)?, rest.get(64..)?.strip_prefix(b"\n")?);
    let digest = Sha256::from_hex(std::str::from_utf8(digest).ok()?).ok()?;
    if Sha256::of(body) != digest {
        return None;
    }
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let head = serde_json::from_slice(body.get(..end)?).ok()?;
    Some((head, bytes.slice_ref(body.get(end + 1..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_a_file_is_what_it_was() {
        let head = CopyHeader {
            origin: "https://o".into(),
            path: "all.zip".into(),
            etag: Some("\"e\"".into()),
            last_modified: None,
        };
        let bytes = encode(&head, b"PK\n\n");
        let body =
            "{\"origin\":\"https://o\",\"path\":\"all.zip\",\"etag\":\"\\\"e\\\"\",\"last_modified\":null}\nPK\n\n";
        let expected = format!("hexkeep-dump 1 {}\n{body}", Sha256::of(body.as_bytes()));
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        let (head, file) = decode(&Bytes::from(bytes.clone())).unwrap();
        assert_eq!((&*head.origin, &*head.path, &*file), ("https://o", "all.zip", b"PK\n\n".as_slice()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&Bytes::from(damaged)).is_none(), "byte {at}");
            assert!(decode(&Bytes::copy_from_slice(&bytes[..at])).is_none(), "{at} bytes");
        }
    }
}
