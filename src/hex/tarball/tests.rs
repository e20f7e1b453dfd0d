//! Tests with valid and invalid tarballs.

use std::io::Cursor;

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::hex::testdata;

const METADATA: &[u8] = b"{<<\"name\">>,<<\"a\">>}.\n";
const CONTENTS: &[u8] = b"contents";

fn checksum_of(version: &[u8], metadata: &[u8], contents: &[u8]) -> Sha256 {
    Sha256::of(&[version, metadata, contents].concat())
}

fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // `set_path` would normalize the names, which an attacker would not do.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files(entries: &[(&str, &[u8])]) -> Vec<u8> {
    tar(&entries.iter().map(|(name, bytes)| (*name, EntryType::Regular, *bytes)).collect::<Vec<_>>())
}

fn whole(checksum: &str) -> [(&str, &[u8]); 4] {
    [("VERSION", b"3"), ("CHECKSUM", checksum.as_bytes()), ("metadata.config", METADATA), ("contents.tar.gz", CONTENTS)]
}

fn read(bytes: &[u8]) -> Result<Sha256, TarballError> {
    inner_checksum(Cursor::new(bytes))
}

#[test]
fn the_order_of_the_entries_does_not_matter() {
    let expected = checksum_of(b"3", METADATA, CONTENTS);
    let checksum = expected.to_string().to_uppercase();
    let [version, sum, metadata, contents] = whole(&checksum);
    for entries in
        [[version, sum, metadata, contents], [contents, metadata, sum, version], [sum, version, contents, metadata]]
    {
        assert_eq!(read(&files(&entries)).unwrap(), expected);
    }
    let with_tail = [files(&[version, sum, metadata, contents]), b"trailing".to_vec()].concat();
    assert_eq!(read(&with_tail).unwrap(), expected);
}

#[test]
fn each_broken_shape_is_refused_by_name() {
    let checksum = checksum_of(b"3", METADATA, CONTENTS).to_string();
    let good = whole(&checksum);
    for (place, part) in Part::ALL.into_iter().enumerate() {
        let mut fewer = good.to_vec();
        fewer.remove(place);
        assert!(matches!(read(&files(&fewer)), Err(TarballError::Missing(missing)) if missing == part));
        let twice = [&good[..], &good[place..=place]].concat();
        assert!(matches!(read(&files(&twice)), Err(TarballError::Double(double)) if double == part));
    }
    let with = |place: usize, bytes: &[u8]| {
        let mut entries = good;
        entries[place].1 = bytes;
        read(&files(&entries)).unwrap_err()
    };
    assert!(matches!(with(0, b"4"), TarballError::Format { .. }));
    assert!(matches!(with(0, &[b'3'; 33]), TarballError::TooLarge { part: Part::Version, max: 32 }));
    assert!(matches!(with(1, b"no checksum"), TarballError::Malformed));
    assert!(matches!(with(1, &[b'a'; 129]), TarballError::TooLarge { part: Part::Checksum, .. }));
    assert!(matches!(with(2, b"other"), TarballError::Mismatch { .. }));
    assert!(matches!(with(2, &vec![0; (1 << 20) + 1]), TarballError::TooLarge { part: Part::Metadata, .. }));
    assert!(matches!(with(3, b"other"), TarballError::Mismatch { .. }));

    for name in ["version", "./VERSION", "/VERSION", "../VERSION", "extra", "VERSION/"] {
        let extra = [&good[..], &[(name, &b""[..])]].concat();
        let error = read(&files(&extra)).unwrap_err();
        assert!(matches!(error, TarballError::Entry { .. }), "{name}: {error}");
    }
}

#[test]
fn only_plain_files_are_read() {
    let checksum = checksum_of(b"3", METADATA, CONTENTS).to_string();
    let kinds = [
        EntryType::Link,
        EntryType::Symlink,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::Char,
    ];
    for kind in kinds {
        let mut entries: Vec<_> = whole(&checksum).map(|(name, bytes)| (name, EntryType::Regular, bytes)).to_vec();
        entries[3].1 = kind;
        assert!(matches!(read(&tar(&entries)), Err(TarballError::Kind { .. })), "{kind:?}");
    }
}

#[test]
fn cut_off_archives_are_never_taken_for_whole_ones() {
    let checksum = checksum_of(b"3", METADATA, CONTENTS).to_string();
    let bytes = files(&whole(&checksum));
    // The parts end before the two zero blocks at the end of the archive.
    let end_of_parts = 8 * 512;
    for length in 0..end_of_parts - 512 + CONTENTS.len() {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
    assert!(read(&bytes).is_ok());
}

#[test]
fn real_tarballs_have_the_checksum_they_claim() {
    let Some(folder) = testdata::folder() else { return };
    let mut read_ones = 0;
    for folder in [folder.join("tarballs"), folder.join("other-key/tarballs")] {
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            // The reader has checked CHECKSUM. Unpacking the tarball independently checks the reader.
            let ours = inner_checksum(std::fs::File::open(&path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let mut parts = std::collections::HashMap::new();
            for entry in Archive::new(std::fs::File::open(&path).unwrap()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                parts.insert(name, bytes);
            }
            let theirs = checksum_of(&parts["VERSION"], &parts["metadata.config"], &parts["contents.tar.gz"]);
            assert_eq!(ours, theirs, "{path:?}");
            read_ones += 1;
        }
    }
    assert!(read_ones >= 50, "{read_ones}");
}

#[test]
fn broken_tarballs_are_told_from_whole_ones() {
    let Some(folder) = testdata::folder() else { return };
    let read = |name: &str| inner_checksum(std::fs::File::open(folder.join("broken").join(name)).unwrap());
    assert!(read("goodpkg-1.0.0.tar").is_ok());
    // The checksum is wrong only in the index of the registry.
    assert!(read("badindexchk-1.0.0.tar").is_ok());
    assert!(matches!(read("badpkg-1.0.0.tar"), Err(TarballError::Mismatch { .. })));
    // Repacked with one more file.
    assert!(
        matches!(read("extended_decimal-2.0.0.tar"), Err(TarballError::Entry { name }) if &*name == "extraFileForTest.txt")
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_changed_byte_never_changes_the_checksum_unseen(place in 0_usize..4096, bit in 0_u8..8) {
        let checksum = checksum_of(b"3", METADATA, CONTENTS);
        let mut bytes = files(&whole(&checksum.to_string()));
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        if let Ok(found) = read(&bytes) {
            prop_assert_eq!(found, checksum);
        }
    }
}
