//! The records of the cache index: what is stored, and how fresh it is.
//!
//! Each record is JSON; `v` is the version of its format. A format never changes: a new one gets a new version. A
//! record that cannot be read counts as missing. The tests contain a golden file for every format.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::index::{CacheIndex, IndexError, Tree};

/// When a stored registry resource was confirmed, and its validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryRecord {
    /// SHA-256 of the stored content, hex; a record with another digest is ignored.
    pub digest: String,
    /// When the upstream last confirmed it.
    pub confirmed_at: Timestamp,
    /// The upstream that the validators below came from.
    pub origin: String,
    /// The upstream's ETag.
    pub etag: Option<String>,
    /// The upstream's Last-Modified.
    pub last_modified: Option<String>,
    /// When the upstream removed it.
    pub removed_at: Option<Timestamp>,
    /// Only for a resource from a bundle that the upstream has not confirmed since: when the upstream last confirmed
    /// the resource that it replaced; 0 if never. Omitted if it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Timestamp>,
}

/// The source of a stored signed resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRecord {
    /// Digest of everything that the signed bytes depend on, hex.
    pub derived_from: String,
}

/// The docs of a release, which have no checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocsRecord {
    /// SHA-256 of the file, hex: its name in the store.
    pub digest: String,
    /// When the upstream last confirmed it.
    pub confirmed_at: Timestamp,
    /// The upstream that the validators below came from.
    pub origin: String,
    /// The upstream's ETag.
    pub etag: Option<String>,
    /// The upstream's Last-Modified.
    pub last_modified: Option<String>,
}

/// A list of installers and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// SHA-256 of the stored content, hex; a record with another digest is ignored.
    pub digest: String,
    /// When the upstream last confirmed both.
    pub confirmed_at: Timestamp,
    /// The upstream that the validators below came from.
    pub origin: String,
    /// The upstream's ETag of the list.
    pub etag: Option<String>,
    /// The upstream's Last-Modified of the list.
    pub last_modified: Option<String>,
    /// The upstream's ETag of the signature.
    pub signature_etag: Option<String>,
    /// The upstream's Last-Modified of the signature.
    pub signature_last_modified: Option<String>,
}

/// The SHA-256 of a whole file that is known by another checksum: a tarball whose index has only the inner checksum, or
/// an installer whose list has its SHA-512.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerRecord {
    /// SHA-256 of the whole file, hex.
    pub outer: String,
}

/// The licences in a tarball's metadata; the key is the checksum of the whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceRecord {
    /// As written.
    pub licences: Vec<String>,
    /// Why the licences cannot be read, if so.
    pub unreadable: Option<String>,
}

/// A package that a mirror has downloaded completely: its index and every selected file are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRecord {
    /// Digest of the package's records in `names` and `versions`, and of the selection, hex.
    pub fingerprint: String,
    /// SHA-256 of each tarball, hex.
    pub tarballs: Vec<String>,
}

/// A kind of record.
pub trait Record: Serialize + for<'de> Deserialize<'de> {
    /// The tree of the index in which it is stored.
    const TREE: Tree;
    /// The version of the format that is written now.
    const VERSION: u32;
}

impl Record for RegistryRecord {
    const TREE: Tree = Tree::Registry;
    const VERSION: u32 = 1;
}

impl Record for SealedRecord {
    const TREE: Tree = Tree::Sealed;
    const VERSION: u32 = 1;
}

impl Record for DocsRecord {
    const TREE: Tree = Tree::Docs;
    const VERSION: u32 = 1;
}

impl Record for ListRecord {
    const TREE: Tree = Tree::Lists;
    const VERSION: u32 = 1;
}

impl Record for InnerRecord {
    const TREE: Tree = Tree::Inner;
    const VERSION: u32 = 1;
}

impl Record for LicenceRecord {
    const TREE: Tree = Tree::Licences;
    // Version 1 does not distinguish "states no licence" from "cannot be read": such records count as missing.
    const VERSION: u32 = 2;
}

impl Record for MirrorRecord {
    const TREE: Tree = Tree::Mirror;
    const VERSION: u32 = 1;
}

#[derive(Deserialize)]
struct Read<R> {
    v: u32,
    #[serde(flatten)]
    record: R,
}

#[derive(Serialize)]
struct Written<'a, R> {
    v: u32,
    #[serde(flatten)]
    record: &'a R,
}

fn decode<R: Record>(bytes: &[u8]) -> Option<R> {
    let read: Read<R> = serde_json::from_slice(bytes).ok()?;
    (read.v == R::VERSION).then_some(read.record)
}

fn encode<R: Record>(record: &R) -> Vec<u8> {
    // Structs of strings and numbers always have a JSON form.
    serde_json::to_vec(&Written { v: R::VERSION, record }).unwrap_or_default()
}

/// Reads a record. An unreadable one counts as missing: it is derived data.
pub fn get<R: Record>(index: &dyn CacheIndex, key: &str) -> Option<R> {
    match index.get(R::TREE, key) {
        Ok(bytes) => bytes.as_deref().and_then(decode),
        Err(error) => {
            tracing::warn!(%error, key, "a record of the cache index cannot be read");
            None
        }
    }
}

/// Writes a record.
pub fn put<R: Record>(index: &dyn CacheIndex, key: &str, record: &R) -> Result<(), IndexError> {
    index.put(R::TREE, key, &encode(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<R: Record + PartialEq + std::fmt::Debug>(text: &str, record: R) {
        assert_eq!(decode::<R>(text.as_bytes()).as_ref(), Some(&record), "an old record is still read");
        assert_eq!(String::from_utf8(encode(&record)).unwrap(), text, "what is written has not changed by accident");
    }

    #[test]
    fn records_of_every_version_are_read() {
        golden(
            r#"{"v":1,"digest":"00","confirmed_at":5,"origin":"https://u","etag":"\"e\"","last_modified":null,"removed_at":null}"#,
            RegistryRecord {
                digest: "00".into(),
                confirmed_at: Timestamp::from_millis(5),
                origin: "https://u".into(),
                etag: Some("\"e\"".into()),
                last_modified: None,
                removed_at: None,
                carried: None,
            },
        );
        golden(
            r#"{"v":1,"digest":"00","confirmed_at":5,"origin":"https://u","etag":null,"last_modified":null,"removed_at":null,"carried":0}"#,
            RegistryRecord {
                digest: "00".into(),
                confirmed_at: Timestamp::from_millis(5),
                origin: "https://u".into(),
                etag: None,
                last_modified: None,
                removed_at: None,
                carried: Some(Timestamp::from_millis(0)),
            },
        );
        golden(r#"{"v":1,"derived_from":"ab"}"#, SealedRecord { derived_from: "ab".into() });
        golden(
            r#"{"v":1,"digest":"00","confirmed_at":5,"origin":"https://u","etag":null,"last_modified":"x"}"#,
            DocsRecord {
                digest: "00".into(),
                confirmed_at: Timestamp::from_millis(5),
                origin: "https://u".into(),
                etag: None,
                last_modified: Some("x".into()),
            },
        );
        golden(
            r#"{"v":1,"digest":"00","confirmed_at":5,"origin":"https://u","etag":"\"e\"","last_modified":null,"signature_etag":null,"signature_last_modified":"x"}"#,
            ListRecord {
                digest: "00".into(),
                confirmed_at: Timestamp::from_millis(5),
                origin: "https://u".into(),
                etag: Some("\"e\"".into()),
                last_modified: None,
                signature_etag: None,
                signature_last_modified: Some("x".into()),
            },
        );
        golden(r#"{"v":1,"outer":"cd"}"#, InnerRecord { outer: "cd".into() });
        golden(
            r#"{"v":2,"licences":["MIT"],"unreadable":null}"#,
            LicenceRecord { licences: vec!["MIT".into()], unreadable: None },
        );
        golden(
            r#"{"v":1,"fingerprint":"ef","tarballs":["ab"]}"#,
            MirrorRecord { fingerprint: "ef".into(), tarballs: vec!["ab".into()] },
        );
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        for bytes in [&b""[..], b"{}", b"\xff", br#"{"v":2,"outer":"cd"}"#, br#"{"v":1,"outer":7}"#] {
            assert_eq!(decode::<InnerRecord>(bytes), None);
        }
        assert_eq!(decode::<LicenceRecord>(br#"{"v":1,"licences":["MIT"]}"#), None, "what it was read by was too lax");
    }
}
