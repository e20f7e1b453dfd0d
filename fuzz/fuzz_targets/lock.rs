//! Lock files of every kind.
#![no_main]

use hexkeep::hex::lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = lock::parse(bytes) else { return };
    for release in &read.releases {
        // What is read may be used as a name of a file.
        assert!(!release.artifact().to_string().contains('/'));
    }
});
