//! Outer tarballs.
#![no_main]

use hexkeep::hex::tarball::inner_checksum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checksum) = inner_checksum(bytes) {
        let checksum = checksum.to_string();
        // Either case is taken, mixed ones too.
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        assert!(text.contains(&checksum));
    }
});
