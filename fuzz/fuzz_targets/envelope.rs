//! Envelopes, as they come and with the compression already done.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::limits;
use libfuzzer_sys::fuzz_target;

const MAX: usize = 64 * 1024;

fn check(gzip: Vec<u8>) {
    if let Ok(envelope) = Envelope::open(gzip.clone().into(), MAX) {
        assert!(envelope.payload.len() <= MAX);
        assert!((1..=limits::SIGNATURE).contains(&envelope.signature.len()));
        assert_eq!(envelope.gzip, gzip);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes.to_vec());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    if encoder.write_all(bytes).is_ok()
        && let Ok(gzip) = encoder.finish()
    {
        check(gzip);
    }
});
