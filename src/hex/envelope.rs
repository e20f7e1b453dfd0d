//! The envelope of registry resources: a gzipped message with a payload and its signature.
//!
//! Opening an envelope does not verify its signature: see `trust`.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use super::limits;
use super::wire::{Fields, WireError, once};

/// An opened, unverified envelope.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The bytes as received: one gzip member.
    pub gzip: Bytes,
    /// The serialised resource.
    pub payload: Bytes,
    /// The signature over `payload`.
    pub signature: Bytes,
}

/// Why bytes are not the envelope of a registry resource.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The compressed size exceeds [`limits::ENVELOPE`].
    #[error("the compressed registry resource has {length} bytes, but at most {max} are allowed")]
    TooLarge { length: usize, max: usize },
    /// The payload is larger than allowed, or than is plausible for the compressed size.
    #[error("the registry resource has more than {max} bytes when decompressed")]
    Inflated { max: usize },
    /// Not gzip, cut off, or damaged.
    #[error("the registry resource is not gzip, or is damaged")]
    Gzip(#[source] io::Error),
    /// A second gzip member or padding, which some clients read and others do not.
    #[error("{length} bytes follow the end of the compressed registry resource")]
    Trailing { length: usize },
    /// The message inside is malformed.
    #[error("cannot decode the envelope inside the registry resource (field 1: payload, field 2: signature)")]
    Signed(#[from] WireError),
    /// The signature has a length that no accepted key produces.
    #[error("the signature has {length} bytes, but 1 to {max} are allowed")]
    Signature { length: usize, max: usize },
}

const PAYLOAD: u32 = 1;
const SIGNATURE: u32 = 2;

impl Envelope {
    /// Opens the envelope `gzip`, whose payload may have at most `max_payload` bytes.
    ///
    /// Uses no more memory than the limits allow, whatever lengths the bytes announce.
    pub fn open(gzip: Bytes, max_payload: usize) -> Result<Self, EnvelopeError> {
        let signed = Bytes::from(inflate(&gzip, max_payload)?);
        let (mut payload, mut signature) = (None, None);
        for field in Fields::new(&signed) {
            let field = field?;
            match field.number {
                PAYLOAD => once(&mut payload, field.bytes()?, PAYLOAD)?,
                SIGNATURE => once(&mut signature, field.bytes()?, SIGNATURE)?,
                _ => {}
            }
        }
        let payload = payload.ok_or(WireError::Missing { field: PAYLOAD })?;
        let signature = signature.ok_or(WireError::Missing { field: SIGNATURE })?;
        if payload.len() > max_payload {
            return Err(EnvelopeError::Inflated { max: max_payload });
        }
        if !(1..=limits::SIGNATURE).contains(&signature.len()) {
            return Err(EnvelopeError::Signature { length: signature.len(), max: limits::SIGNATURE });
        }
        Ok(Self { payload: signed.slice_ref(payload), signature: signed.slice_ref(signature), gzip })
    }
}

fn inflate(gzip: &[u8], max_payload: usize) -> Result<Vec<u8>, EnvelopeError> {
    if gzip.len() > limits::ENVELOPE {
        return Err(EnvelopeError::TooLarge { length: gzip.len(), max: limits::ENVELOPE });
    }
    let honest = gzip.len().saturating_mul(limits::GZIP_RATIO).max(limits::GZIP_RATIO_FLOOR);
    let max = max_payload.saturating_add(limits::ENVELOPE_OVERHEAD).min(honest);
    let mut decoder = GzDecoder::new(gzip);
    // Allocates the usual uncompressed size. A larger resource grows the buffer step by step.
    let mut inflated = Vec::with_capacity(gzip.len().saturating_mul(4).min(max));
    // Reads one byte more than allowed, to distinguish "too large" from "just fits". The checksum at the end is read in
    // both cases.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    Read::by_ref(&mut decoder).take(limit).read_to_end(&mut inflated).map_err(EnvelopeError::Gzip)?;
    if inflated.len() > max {
        return Err(EnvelopeError::Inflated { max });
    }
    match decoder.into_inner() {
        [] => {
            // The buffer lives as long as the payload, and a cache counts only the length of the payload.
            inflated.shrink_to_fit();
            Ok(inflated)
        }
        rest => Err(EnvelopeError::Trailing { length: rest.len() }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::hex::wire::push_bytes;

    const MAX: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn signed(records: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, bytes) in records {
            push_bytes(&mut out, *field, bytes);
        }
        out
    }

    fn open(bytes: Vec<u8>) -> Result<Envelope, EnvelopeError> {
        Envelope::open(bytes.into(), MAX)
    }

    #[test]
    fn payload_and_signature_come_out() {
        let bytes = gzip(&signed(&[(2, b"signature"), (9, b"unknown"), (1, b"payload")]));
        let envelope = open(bytes.clone()).unwrap();
        assert_eq!((&envelope.payload[..], &envelope.signature[..]), (&b"payload"[..], &b"signature"[..]));
        assert_eq!(envelope.gzip, bytes);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let error = |records: &[(u32, &[u8])]| open(gzip(&signed(records))).unwrap_err();
        assert!(matches!(
            error(&[(1, b"a"), (2, b"s"), (1, b"b")]),
            EnvelopeError::Signed(WireError::Duplicate { field: 1 })
        ));
        assert!(matches!(
            error(&[(1, b"a"), (2, b"s"), (2, b"t")]),
            EnvelopeError::Signed(WireError::Duplicate { field: 2 })
        ));
        assert!(matches!(error(&[(1, b"a")]), EnvelopeError::Signed(WireError::Missing { field: 2 })));
        assert!(matches!(error(&[(2, b"s")]), EnvelopeError::Signed(WireError::Missing { field: 1 })));
        assert!(matches!(error(&[(1, b"a"), (2, b"")]), EnvelopeError::Signature { length: 0, .. }));
        assert!(matches!(error(&[(1, b"a"), (2, &[0; 1025])]), EnvelopeError::Signature { length: 1025, .. }));

        let whole = gzip(&signed(&[(1, b"a"), (2, b"s")]));
        let twice = [whole.clone(), whole.clone()].concat();
        assert!(matches!(open(twice), Err(EnvelopeError::Trailing { length }) if length == whole.len()));
        let padded = [whole.clone(), vec![0]].concat();
        assert!(matches!(open(padded), Err(EnvelopeError::Trailing { length: 1 })));
    }

    #[test]
    fn damage_is_seen() {
        let whole = gzip(&signed(&[(1, &[7; 500]), (2, b"s")]));
        for length in 0..whole.len() {
            assert!(matches!(open(whole[..length].to_vec()), Err(EnvelopeError::Gzip(_))), "{length}");
        }
        let mut wrong_crc = whole.clone();
        let place = wrong_crc.len() - 5;
        wrong_crc[place] ^= 1;
        assert!(matches!(open(wrong_crc), Err(EnvelopeError::Gzip(_))));
        assert!(matches!(open(b"<html>".to_vec()), Err(EnvelopeError::Gzip(_))));
    }

    #[test]
    fn bombs_are_refused_by_size_and_by_ratio() {
        let zeros = vec![0; 8 << 20];
        let bomb = gzip(&signed(&[(1, &zeros), (2, b"s")]));
        assert!(matches!(Envelope::open(bomb.clone().into(), MAX), Err(EnvelopeError::Inflated { .. })));
        // Within the limit, but a thousand times the compressed size.
        let by_ratio = Envelope::open(bomb.clone().into(), 64 << 20);
        assert!(matches!(by_ratio, Err(EnvelopeError::Inflated { max }) if max == bomb.len() * limits::GZIP_RATIO));
        let large = Bytes::from(vec![0; limits::ENVELOPE + 1]);
        assert!(matches!(Envelope::open(large, MAX), Err(EnvelopeError::TooLarge { .. })));
    }

    #[test]
    fn the_limit_of_the_payload_is_exact() {
        let exact = gzip(&signed(&[(1, &[7; 1000]), (2, b"s")]));
        assert!(Envelope::open(exact.clone().into(), 1000).is_ok());
        assert!(matches!(Envelope::open(exact.into(), 999), Err(EnvelopeError::Inflated { max: 999 })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = open(bytes.clone());
            let _ = open(gzip(&bytes));
        }
    }
}
