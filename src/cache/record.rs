//! The records of the cache index: what is stored, in which version.
//!
//! Each record is JSON with the number of its format in `v`. A format is never changed, only followed by another; a
//! record that cannot be read counts as absent. The golden files in the tests hold every format ever written.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::index::{CacheIndex, IndexError, Tree};

/// How fresh a registry slot is, and how to ask whether it has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryRecord {
    /// SHA-256 of the slot's content, hex; a record that does not fit its slot is not used.
    pub digest: String,
    /// When the upstream confirmed it last.
    pub confirmed_at: Timestamp,
    /// The upstream that gave the validators below.
    pub origin: String,
    /// The upstream's ETag.
    pub etag: Option<String>,
    /// The upstream's Last-Modified.
    pub last_modified: Option<String>,
    /// When the upstream was seen to have removed it.
    pub removed_at: Option<Timestamp>,
    /// Of what came in a bundle and was not confirmed by the upstream since: when it had confirmed last what was here before;
    /// 0: never. Left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Timestamp>,
}

/// What a sealed slot was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRecord {
    /// Digest of everything that the sealed bytes depend on, hex.
    pub derived_from: String,
}

/// Docs of a release, which have no checksum of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocsRecord {
    /// SHA-256 of the file, hex: its name among the blobs.
    pub digest: String,
    /// When the upstream confirmed it last.
    pub confirmed_at: Timestamp,
    /// The upstream that gave the validators below.
    pub origin: String,
    /// The upstream's ETag.
    pub etag: Option<String>,
    /// The upstream's Last-Modified.
    pub last_modified: Option<String>,
}

/// A list of installers and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// SHA-256 of the slot's content, hex; a record that does not fit its slot is not used.
    pub digest: String,
    /// When the upstream confirmed both last.
    pub confirmed_at: Timestamp,
    /// The upstream that gave the validators below.
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

/// The whole-file checksum of a file that is known by another one: of a tarball whose index knows only the inner
/// checksum, of an installer whose list knows its SHA-512.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerRecord {
    /// SHA-256 of the whole file, hex.
    pub outer: String,
}

/// What a tarball states as its licences; its key is the checksum of the whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceRecord {
    /// As written.
    pub licences: Vec<String>,
    /// Why they cannot be told, where that is so.
    pub unreadable: Option<String>,
}

/// Up to where a mirror has brought a package: its index is here, and so is every file that was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRecord {
    /// Digest of the package's records in `names` and `versions`, and of what was wanted, hex.
    pub fingerprint: String,
    /// SHA-256 of each tarball, hex.
    pub tarballs: Vec<String>,
}

/// A kind of record.
pub trait Record: Serialize + for<'de> Deserialize<'de> {
    /// Where it is kept.
    const TREE: Tree;
    /// The format that is written now.
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
    // Those of version 1 do not tell "states none" from "cannot be read": they count as absent.
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

/// Reads a record. One that cannot be read is absent: it is derived data.
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
