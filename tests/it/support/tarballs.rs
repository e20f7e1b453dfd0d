//! Hex tarballs, sound and otherwise; the benchmarks make theirs here, too.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hexkeep::hex::checksum::{Hasher, Sha256};

/// A tar of plain files, with the two blocks of zeros at its end.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (file, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, file, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The tarball of a package with this `metadata.config` and these `contents.tar.gz`, whatever they are, and its inner
/// checksum.
pub(crate) fn pack(metadata: &[u8], contents: &[u8]) -> (Bytes, Sha256) {
    let mut inner = Hasher::new();
    for part in [b"3", metadata, contents] {
        inner.update(part);
    }
    let inner = inner.finish();
    let checksum = inner.to_string().to_uppercase();
    let files: [(&str, &[u8]); 4] = [
        ("VERSION", b"3"),
        ("CHECKSUM", checksum.as_bytes()),
        ("metadata.config", metadata),
        ("contents.tar.gz", contents),
    ];
    (archive(&files).into(), inner)
}
