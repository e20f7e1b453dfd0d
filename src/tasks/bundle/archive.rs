//! The file format of bundles: a tar archive of `hexkeep-bundle.json`, `hexkeep-bundle.sig` and `objects/DIGEST`, in
//! this order.
//!
//! A bundle is read sequentially. Each tar header must match the signed manifest: names, sizes and types in the archive
//! itself are not trusted, and no more bytes are read than the manifest lists.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT, Manifest, ManifestError, Object, Plan};
use super::{BundleError, open};
use crate::hex::checksum::{Hasher, Sha256};
use crate::hex::limits;
use crate::store::Store;
use crate::store::spool::ContentReader;
use crate::tasks::report::{Progress, Reporter};
use crate::trust::{Fingerprint, PublicKey, Signer, is_signed};

const MANIFEST: &str = "hexkeep-bundle.json";
const SIGNATURE: &str = "hexkeep-bundle.sig";

/// Prefix of the signed data, so that a signature of a bundle is not valid for anything else.
const CONTEXT: &[u8] = b"hexkeep-bundle 1\n";

/// `hexkeep-bundle.sig`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// Public key as SPKI PEM.
    key: String,
    /// Signature over [`CONTEXT`] and the manifest, as Base64.
    signature: String,
}

/// The part of a manifest that every version can read.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Location of a file for a bundle.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory.
    Bytes(Bytes),
    /// In the cache.
    Cached,
    /// In the files of local repositories.
    Local,
}

/// The manifest of a bundle whose signature is valid and from a trusted key.
#[derive(Debug)]
pub struct Opened {
    /// The manifest.
    pub manifest: Manifest,
    /// Purpose of each file.
    pub plan: Plan,
    /// SHA-256 of the manifest.
    pub digest: Sha256,
    /// Fingerprint of the key that signed the bundle.
    pub signer: Fingerprint,
}

/// Writes a bundle; `sources` has the location of each file in the manifest. Blocks.
pub fn write(
    manifest: &Manifest,
    sources: &HashMap<Sha256, Source>,
    signer: &Signer,
    store: &Store,
    out: &mut dyn Write,
    report: &Reporter,
) -> Result<u64, BundleError> {
    let json = |error: serde_json::Error| BundleError::Io(error.into());
    let text = serde_json::to_vec(manifest).map_err(json)?;
    let signature = STANDARD.encode(signer.sign(&[CONTEXT, &text].concat())?);
    let signed = Signed { key: signer.public_key().to_spki_pem().to_owned(), signature };
    let mut archive = tar::Builder::new(out);
    append(&mut archive, MANIFEST, text.len() as u64, &mut &text[..])?;
    let signed = serde_json::to_vec(&signed).map_err(json)?;
    append(&mut archive, SIGNATURE, signed.len() as u64, &mut &signed[..])?;
    let mut progress = Progress { total: manifest.objects.len() as u64, ..Progress::default() };
    for object in &manifest.objects {
        if report.is_abandoned() {
            return Err(BundleError::Abandoned);
        }
        let gone = || BundleError::Gone(format!("the file {}", object.sha256.0));
        let mut from: Box<dyn Read> = match sources.get(&object.sha256.0) {
            Some(Source::Bytes(bytes)) => Box::new(io::Cursor::new(bytes.clone())),
            Some(source @ (Source::Cached | Source::Local)) => {
                let stored = open(store, &object.sha256.0, matches!(source, Source::Local))?;
                Box::new(ContentReader::of(&stored.ok_or_else(gone)?))
            }
            None => return Err(gone()),
        };
        append(&mut archive, &path(object), object.size, &mut from)?;
        progress.done += 1;
        progress.bytes += object.size;
        report.progress(progress);
    }
    archive.finish().map_err(BundleError::Io)?;
    Ok(progress.bytes)
}

fn path(object: &Object) -> String {
    format!("objects/{}", object.sha256.0)
}

/// Appends a file with a fixed header, so that the same files always result in the same bytes.
fn append(
    archive: &mut tar::Builder<&mut dyn Write>,
    path: &str,
    size: u64,
    from: &mut dyn Read,
) -> Result<(), BundleError> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, path, from.take(size)).map_err(BundleError::Io)
}

/// Receives the contents of a bundle while it is read.
pub trait Visitor {
    /// Called with the manifest.
    fn begin(&mut self, opened: &Opened) -> Result<(), BundleError>;
    /// Called for each file. The size of the file is checked; it need not be read to its end.
    fn file(&mut self, opened: &Opened, object: &Object, from: &mut dyn Read) -> Result<(), BundleError>;
}

/// Reads only the manifest of a bundle. Blocks.
pub fn open_manifest(file: &mut dyn Read, trusted: &dyn Fn(&Fingerprint) -> bool) -> Result<Opened, BundleError> {
    let mut archive = tar::Archive::new(file);
    begin(&mut entries(&mut archive)?, trusted)
}

/// Reads a whole bundle and passes its contents to `visitor`. Blocks.
pub fn walk(
    file: &mut dyn Read,
    trusted: &dyn Fn(&Fingerprint) -> bool,
    visitor: &mut dyn Visitor,
) -> Result<Opened, BundleError> {
    let mut archive = tar::Archive::new(file);
    let mut entries = entries(&mut archive)?;
    let opened = begin(&mut entries, trusted)?;
    visitor.begin(&opened)?;
    for object in &opened.manifest.objects {
        let entry = next(&mut entries, &path(object))?;
        if entry.size() != object.size {
            return Err(BundleError::damaged(&object.sha256.0));
        }
        visitor.file(&opened, object, &mut entry.take(object.size))?;
    }
    match entries.next() {
        None => Ok(opened),
        Some(Ok(more)) => Err(BundleError::Path(name_of(&more))),
        Some(Err(_)) => Err(BundleError::Truncated),
    }
}

type Entries<'a, 'b> = tar::Entries<'a, &'b mut dyn Read>;
type Entry<'a, 'b> = tar::Entry<'a, &'b mut dyn Read>;

/// Raw entries: extension headers, which could change other headers, are treated as unexpected files.
fn entries<'a, 'b>(archive: &'a mut tar::Archive<&'b mut dyn Read>) -> Result<Entries<'a, 'b>, BundleError> {
    Ok(archive.entries().map_err(|_| BundleError::NoBundle)?.raw(true))
}

fn begin(entries: &mut Entries<'_, '_>, trusted: &dyn Fn(&Fingerprint) -> bool) -> Result<Opened, BundleError> {
    let first = next(entries, MANIFEST).map_err(|_| BundleError::NoBundle)?;
    let text = whole(first, limits::BUNDLE_MANIFEST as u64)?;
    let signed = whole(next(entries, SIGNATURE)?, limits::BUNDLE_SIGNATURE as u64)?;
    let signed: Signed = serde_json::from_slice(&signed).map_err(|_| BundleError::Signature)?;
    let key = PublicKey::from_pem(&signed.key).map_err(|_| BundleError::Signature)?;
    let signature = STANDARD.decode(signed.signature).map_err(|_| BundleError::Signature)?;
    // The manifest is not parsed before its signature is verified.
    if !is_signed(&[CONTEXT, &text].concat(), &signature, std::slice::from_ref(&key)) {
        return Err(BundleError::Signature);
    }
    let signer = key.fingerprint().clone();
    if !trusted(&signer) {
        return Err(BundleError::Untrusted(signer));
    }
    let head: Head = serde_json::from_slice(&text).map_err(ManifestError::Json)?;
    if head.format != FORMAT {
        return Err(BundleError::Format(head.format));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(ManifestError::Json)?;
    let plan = Plan::of(&manifest)?;
    Ok(Opened { manifest, plan, digest: Sha256::of(&text), signer })
}

/// Reads the next file. It must have this path.
fn next<'a, 'b>(entries: &mut Entries<'a, 'b>, path: &str) -> Result<Entry<'a, 'b>, BundleError> {
    let entry = entries.next().ok_or(BundleError::Truncated)?.map_err(|_| BundleError::Truncated)?;
    if entry.path_bytes() != path.as_bytes() || !entry.header().entry_type().is_file() {
        return Err(BundleError::Path(name_of(&entry)));
    }
    Ok(entry)
}

fn name_of(entry: &Entry<'_, '_>) -> String {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    name.chars().take(limits::EXCERPT).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn whole(mut entry: Entry<'_, '_>, max: u64) -> Result<Vec<u8>, BundleError> {
    let size = entry.size();
    if size > max {
        return Err(BundleError::NoBundle);
    }
    exactly(&mut entry, size)
}

/// Reads exactly `size` bytes.
pub(super) fn exactly(from: &mut dyn Read, size: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let read = from.take(size).read_to_end(&mut bytes).map_err(BundleError::Io)?;
    if read as u64 == size { Ok(bytes) } else { Err(BundleError::Truncated) }
}

/// A reader that computes a hash.
pub(super) struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
    count: u64,
}

impl<'a> Hashing<'a> {
    pub(super) fn new(inner: &'a mut dyn Read) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// Reads to the end. Returns the number of bytes and their digest.
    pub(super) fn finish(mut self) -> Result<(u64, Sha256), BundleError> {
        io::copy(&mut self, &mut io::sink()).map_err(BundleError::Io)?;
        Ok((self.count, self.hasher.finish()))
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(target)?;
        self.hasher.update(target.get(..read).unwrap_or_default());
        self.count += read as u64;
        Ok(read)
    }
}
