//! Compresses sealed resources with gzip, so that compressing a slightly changed payload again is cheap.
//!
//! The index of 20,000 packages has several megabytes, and publishing a release changes a few bytes of it. The payload
//! is therefore split into segments at positions that depend on its content (content-defined chunking). Each segment is
//! compressed separately, and compressed segments are cached in memory. The result is one gzip member. It depends on
//! the payload alone, not on the cache. An insertion moves only the segment boundaries next to it.

use std::sync::Arc;

use flate2::Crc;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::hex::checksum::Sha256;

/// Identifies the encoder that produced the sealed bytes. It is part of the cache key of sealed resources, because
/// another encoder produces other bytes, and therefore other ETags, for the same payload.
pub const ENCODER_ID: &str = "gzip-segments-1-miniz_oxide-0.9.1-level-6";

const LEVEL: i32 = 6;

/// RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The last deflate block, which is empty.
const END: [u8; 2] = [3, 0];

/// Segments have 64 KiB on average. Smaller ones compress worse, since matches cannot cross a boundary (hex.pm's
/// `versions` is 4 % larger than in one piece). Larger ones take more time after a change.
const SEGMENT_MIN: usize = 32 * 1024;
const SEGMENT_MAX: usize = 256 * 1024;
/// A segment ends where this many bits of the rolling hash are zero.
const CUT_BITS: u32 = 15;
/// The number of bytes that the rolling hash covers: each byte shifts it by one of its 64 bits.
const WINDOW: usize = 64;

/// Memory for compressed segments: about ten times as much as the indexes of hex.pm need.
const MEMORY: u64 = 16 * 1024 * 1024;

/// Creates gzip members, and caches the compressed segments of large ones. Clones share the cache.
#[derive(Clone, Debug)]
pub struct Encoder {
    segments: Cache<Sha256, Arc<Segment>>,
}

/// A segment of a payload, compressed so that any other segment can follow.
#[derive(Debug)]
struct Segment {
    deflated: Vec<u8>,
    crc: Crc,
}

impl Default for Encoder {
    fn default() -> Self {
        let segments = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(|_, segment: &Arc<Segment>| u32::try_from(segment.deflated.len()).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { segments }
    }
}

impl Encoder {
    /// Creates one gzip member of `head`, `payload` and `tail`. Head and tail are short or do not compress, so they are
    /// stored uncompressed.
    pub(super) fn gzip(&self, head: &[u8], payload: &[u8], tail: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() / 3 + tail.len() + 64);
        let mut crc = Crc::new();
        out.extend_from_slice(&GZIP_HEADER);
        push_stored(&mut out, head);
        crc.update(head);
        if payload.len() <= SEGMENT_MIN {
            // The index of a package is compressed once for each change, so caching its segments has no use.
            let segment = Segment::of(payload);
            out.extend_from_slice(&segment.deflated);
            crc.combine(&segment.crc);
        } else {
            for bytes in Cuts(payload) {
                let segment = self.segments.get_with(Sha256::of(bytes), || Arc::new(Segment::of(bytes)));
                out.extend_from_slice(&segment.deflated);
                crc.combine(&segment.crc);
            }
        }
        push_stored(&mut out, tail);
        crc.update(tail);
        out.extend_from_slice(&END);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        // The length modulo 2^32, which `amount` returns.
        out.extend_from_slice(&crc.amount().to_le_bytes());
        out
    }
}

impl Segment {
    fn of(bytes: &[u8]) -> Self {
        let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, 0, 0));
        let mut deflated = Vec::with_capacity(bytes.len() / 2);
        // A sync flush ends at a byte boundary, and later data refers to nothing before it. The callback accepts all
        // output.
        compress_to_output(&mut compressor, bytes, TDEFLFlush::Sync, |piece| {
            deflated.extend_from_slice(piece);
            true
        });
        deflated.shrink_to_fit();
        let mut crc = Crc::new();
        crc.update(bytes);
        Self { deflated, crc }
    }
}

/// Appends stored blocks (RFC 1951, 3.2.4). `out` must end at a byte boundary.
fn push_stored(out: &mut Vec<u8>, bytes: &[u8]) {
    for block in bytes.chunks(usize::from(u16::MAX)) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
}

/// An iterator over the segments of a payload, in order.
///
/// A boundary depends on the [`WINDOW`] bytes before it. It depends on the previous boundary only through
/// [`SEGMENT_MIN`] and [`SEGMENT_MAX`]. Soon after a changed part, the boundaries are therefore the same as before.
#[derive(Debug)]
struct Cuts<'a>(&'a [u8]);

impl<'a> Iterator for Cuts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (segment, rest) = self.0.split_at_checked(cut(self.0)).unwrap_or((self.0, &[]));
        self.0 = rest;
        Some(segment)
    }
}

/// The length of the first segment of `bytes`.
fn cut(bytes: &[u8]) -> usize {
    let end = bytes.len().min(SEGMENT_MAX);
    let mut hash = 0_u64;
    let behind = bytes.iter().take(end).enumerate().skip(SEGMENT_MIN.saturating_sub(WINDOW));
    for (at, byte) in behind {
        hash = (hash << 1).wrapping_add(GEAR.get(usize::from(*byte)).copied().unwrap_or_default());
        if at >= SEGMENT_MIN && hash >> (u64::BITS - CUT_BITS) == 0 {
            return at;
        }
    }
    end
}

/// A random number for each value of a byte. The rolling hash is that of
/// [FastCDC](https://www.usenix.org/conference/atc16/technical-sessions/presentation/xia), without its two masks.
static GEAR: [u64; 256] = gear();

/// The first outputs of SplitMix64.
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state = 0_u64;
    let mut at = 0;
    while at < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn unzip(gzip: &[u8]) -> Vec<u8> {
        // This decoder reads one member: if no bytes are left, there is exactly one.
        let mut decoder = flate2::bufread::GzDecoder::new(gzip);
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).unwrap();
        assert!(decoder.into_inner().is_empty(), "more than one member");
        bytes
    }

    /// Sorted entries of an index, which differ a little from one another.
    fn entries(seed: u64) -> Vec<Vec<u8>> {
        let number = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ seed;
        (0..9000_u64).map(|n| format!("package_{n:06} {:x} 1.0.{}\n", number(n), n % 17).into_bytes()).collect()
    }

    #[test]
    fn what_was_in_memory_does_not_count() {
        let encoder = Encoder::default();
        let payload = entries(1).concat();
        let cold = encoder.gzip(b"head", &payload, b"tail");
        assert!(encoder.segments.get(&Sha256::of(Cuts(&payload).next().unwrap())).is_some());
        assert_eq!(encoder.gzip(b"head", &payload, b"tail"), cold);
        assert_eq!(Encoder::default().gzip(b"head", &payload, b"tail"), cold);
        assert_eq!(unzip(&cold), [&b"head"[..], &payload, b"tail"].concat());
    }

    #[test]
    fn the_ends_are_segments_too() {
        let encoder = Encoder::default();
        for length in
            [0, 1, SEGMENT_MIN - 1, SEGMENT_MIN, SEGMENT_MIN + 1, SEGMENT_MAX, SEGMENT_MAX + 1, 3 * SEGMENT_MAX]
        {
            // Here segments end only at the largest length.
            let payload = vec![0; length];
            assert_eq!(Cuts(&payload).count(), length.div_ceil(SEGMENT_MAX), "{length}");
            assert_eq!(unzip(&encoder.gzip(&[], &payload, &[])), payload);
        }
        let long = vec![7; usize::from(u16::MAX) + 3];
        assert_eq!(unzip(&encoder.gzip(&long, b"", &long)), [&long[..], &long].concat());
    }

    /// An index as large as hex.pm's has about 40 segments. A change must affect only the segments next to it.
    #[test]
    fn an_insertion_moves_the_cuts_beside_it_and_no_others() {
        let segments = |entries: &[Vec<u8>]| Cuts(&entries.concat()).map(Sha256::of).collect::<Vec<_>>();
        let mut entries = entries(2);
        let before = segments(&entries);
        assert!(before.len() > 3, "{}", before.len());
        for at in [0, 1, 4500, 8999, 9000] {
            entries.insert(at, b"package_new 1.0.0\n".to_vec());
            let after = segments(&entries);
            let new = after.iter().filter(|segment| !before.contains(segment)).count();
            assert!((1..=2).contains(&new), "{new} of {} at {at}", after.len());
            entries.remove(at);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn unzipping_gives_the_bytes_back(
            seed in any::<u64>(), words in prop::collection::vec("[a-z]{0,9}", 1..40), times in 0_usize..3000, noise in 0_usize..200_000,
        ) {
            let mut payload = words.concat().repeat(times).into_bytes();
            payload.extend((0..noise as u64).map(|n| (n.wrapping_mul(seed | 1) >> 32).to_le_bytes()[0]));
            let encoder = Encoder::default();
            let zipped = encoder.gzip(b"head", &payload, b"tail");
            prop_assert_eq!(unzip(&zipped), [&b"head"[..], &payload, b"tail"].concat());
            prop_assert_eq!(encoder.gzip(b"head", &payload, b"tail"), zipped);
            prop_assert_eq!(Cuts(&payload).collect::<Vec<_>>().concat(), payload);
        }
    }
}
