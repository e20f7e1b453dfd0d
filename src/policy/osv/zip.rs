//! Reads the files of a zip archive, within limits.
//!
//! Format: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16; supports stored and deflated files, but neither
//! zip64 nor encryption, which archives of advisories do not use.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::DumpError;
use crate::hex::limits;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
/// Longest comment after the end record.
const COMMENT: usize = 65_535;

/// Whether the bytes begin like a zip archive.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL) || bytes.starts_with(END)
}

/// Calls `take` with the name and the content of each file.
pub(super) fn for_each_file(
    bytes: &[u8],
    mut take: impl FnMut(&str, &[u8]) -> Result<(), DumpError>,
) -> Result<(), DumpError> {
    let broken = || DumpError::Zip("it is incomplete or damaged");
    let first = bytes.len().saturating_sub(END_BYTES + COMMENT);
    let tail = bytes.get(first..).unwrap_or_default();
    let end = tail.windows(END.len()).rposition(|window| window == END).ok_or_else(broken)?;
    let end = tail.get(end..).unwrap_or_default();
    let (count, mut at) = (number(end, 10, 2).ok_or_else(broken)?, number(end, 16, 4).ok_or_else(broken)?);
    if count > limits::OSV_FILES {
        return Err(DumpError::Zip("it has too many files"));
    }
    let mut left = limits::OSV_CONTENT;
    for _ in 0..count {
        let header = bytes.get(at..).filter(|header| header.starts_with(CENTRAL)).ok_or_else(broken)?;
        let field = |place, length| number(header, place, length).ok_or_else(broken);
        let (flags, method, packed) = (field(8, 2)?, field(10, 2)?, field(20, 4)?);
        let (name_length, extra, comment, local) = (field(28, 2)?, field(30, 2)?, field(32, 2)?, field(42, 4)?);
        let name = header.get(46..46 + name_length).ok_or_else(broken)?;
        let name = String::from_utf8_lossy(name);
        at += 46 + name_length + extra + comment;
        let file = bytes.get(local..).filter(|file| file.starts_with(LOCAL)).ok_or_else(broken)?;
        let begin = 30 + number(file, 26, 2).ok_or_else(broken)? + number(file, 28, 2).ok_or_else(broken)?;
        let packed = file.get(begin..begin + packed).ok_or_else(broken)?;
        if flags & 1 != 0 {
            return Err(DumpError::Zip("it contains an encrypted file"));
        }
        let unpacked = match method {
            0 => packed.to_vec(),
            8 => decompress_to_vec_with_limit(packed, left.min(limits::OSV_FILE))
                .map_err(|_| DumpError::Zip("it contains a file that is damaged or too large"))?,
            _ => return Err(DumpError::Zip("it contains a file with an unsupported compression method")),
        };
        left = left.checked_sub(unpacked.len()).ok_or(DumpError::Zip("its uncompressed content is too large"))?;
        take(&name, &unpacked)?;
    }
    Ok(())
}

/// Reads a little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
