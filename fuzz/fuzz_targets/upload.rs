//! Tarballs and documentation archives to be published.
#![no_main]

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hexkeep::hex::tarball::inner_checksum;
use hexkeep::hex::upload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(package) = upload::package(Cursor::new(bytes)) {
        // The reader of tarballs in passing is stricter about extra files, and never of another opinion.
        if let Ok(inner) = inner_checksum(bytes) {
            assert_eq!(inner, package.inner);
        }
    }
    let _ = upload::docs(bytes);
    // Compressed here, since no fuzzer finds a checksum: the bytes are the tar inside.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    if encoder.write_all(bytes).is_ok() {
        if let Ok(gzip) = encoder.finish() {
            let _ = upload::docs(&gzip[..]);
        }
    }
});
