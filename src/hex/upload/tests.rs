//! Tests with valid and invalid tarballs and documentation.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::hex::testdata;

const METADATA: &str = "{<<\"name\">>,<<\"acme\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n{<<\"app\">>,<<\"acme\">>}.\n\
                        {<<\"files\">>,[<<\"mix.exs\">>]}.\n";

/// An entry: kind, path, link target, content.
type Item<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, target, content) in items {
        let mut header = Header::new_ustar();
        // Headers are written directly, because the library would reject most of these paths.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file<'a>(path: &'a str, content: &'a [u8]) -> Item<'a> {
    (EntryType::Regular, path, "", content)
}

fn checksum(contents: &[u8]) -> String {
    Sha256::of(&[b"3", METADATA.as_bytes(), contents].concat()).to_string().to_uppercase()
}

fn tarball(contents: &[u8]) -> Vec<u8> {
    let checksum = checksum(contents);
    archive(&[
        file("VERSION", b"3"),
        file("CHECKSUM", checksum.as_bytes()),
        file("metadata.config", METADATA.as_bytes()),
        file("contents.tar.gz", contents),
    ])
}

fn fault(bytes: &[u8]) -> String {
    package(Cursor::new(bytes)).unwrap_err().to_string()
}

#[test]
fn a_sound_package_in_any_order_with_anything_behind() {
    let contents = gzip(&archive(&[file("mix.exs", b"x"), (EntryType::Symlink, "lib/a", "../mix.exs", b"")]));
    let checksum = checksum(&contents);
    let shuffled = archive(&[
        file("contents.tar.gz", &contents),
        file("README", b"ignored"),
        file("metadata.config", METADATA.as_bytes()),
        file("CHECKSUM", checksum.to_lowercase().as_bytes()),
        file("VERSION", b"3"),
    ]);
    for bytes in [tarball(&contents), shuffled, [tarball(&contents), vec![7; 100]].concat()] {
        let found = package(Cursor::new(&bytes)).unwrap();
        assert_eq!(found.metadata.name.as_str(), "acme");
        assert_eq!(found.inner.to_string().to_uppercase(), checksum);
        assert_eq!(name(Cursor::new(&bytes)).unwrap().as_str(), "acme");
    }
}

#[test]
fn what_is_wrong_outside() {
    let contents = gzip(&archive(&[file("mix.exs", b"x")]));
    let whole = tarball(&contents);
    let parts = |version: &[u8], sum: &[u8], more: &[Item<'_>]| {
        let mut items =
            vec![file("VERSION", version), file("CHECKSUM", sum), file("metadata.config", METADATA.as_bytes())];
        items.extend_from_slice(more);
        archive(&items)
    };
    let sum = checksum(&contents);
    let good = file("contents.tar.gz", &contents);
    let large = vec![b' '; limits::TARBALL_METADATA + 1];
    for (bytes, expected) in [
        (parts(b"4", sum.as_bytes(), &[good]), "tar: unsupported version: \"4\""),
        (parts(b"3", b"xyz", &[good]), "tar: CHECKSUM is not"),
        (parts(b"3", "0".repeat(64).as_bytes(), &[good]), "tar: tarball error, {inner_checksum_mismatch,"),
        (parts(b"3", sum.as_bytes(), &[]), "tar: missing files: [\"contents.tar.gz\"]"),
        (parts(b"3", sum.as_bytes(), &[good, good]), "tar: tarball error, contents.tar.gz occurs twice"),
        (parts(b"3", sum.as_bytes(), &[good, file("VERSION", b"3")]), "tar: tarball error, VERSION occurs twice"),
        (parts(&[b'3'; 33], sum.as_bytes(), &[good]), "tar: file too big: VERSION"),
        (archive(&[file("metadata.config", &large)]), "tar: file too big: metadata.config"),
        (
            parts(b"3", sum.as_bytes(), &[(EntryType::Link, "x", "VERSION", b"")]),
            "tar: tarball error, x is not a plain file",
        ),
        (whole[..whole.len() / 2].to_vec(), "tar: "),
        (b"not a tar at all".repeat(100), "tar: tarball error"),
        (vec![0; limits::TARBALL + 1], "tar: too big"),
        (Vec::new(), "tar: missing files: [\"VERSION\",\"CHECKSUM\",\"metadata.config\",\"contents.tar.gz\"]"),
    ] {
        let found = fault(&bytes);
        assert!(found.starts_with(expected), "{found}, expected {expected}");
    }
}

#[test]
fn what_is_wrong_inside() {
    let pax = |record: &'static [u8]| (EntryType::XHeader, "pax", "", record);
    for (items, expected) in [
        (vec![file("../x", b"")], "../x: The path points above"),
        (vec![file("a/../../x", b"")], "a/../../x: The path points above"),
        (vec![pax(b"13 path=../x\n"), file("y", b"")], "../x: The path points above"),
        (vec![(EntryType::GNULongName, "L", "", &b"../z\0"[..]), file("y", b"")], "../z: The path points above"),
        (vec![pax(b"9 size=9\n"), file("y", b"")], "an extension header"),
        (vec![pax(b"99 path=x\n"), file("y", b"")], "an extension header"),
        (vec![pax(b"21 GNU.sparse.name=x\n"), file("y", b"")], "an extension header"),
        (vec![pax(b"10 path=x\n"), pax(b"10 path=z\n"), file("y", b"")], "an extension header"),
        (vec![pax(b"12 path=x\0z\n"), file("y", b"")], "an extension header"),
        (vec![(EntryType::XGlobalHeader, "g", "", &b"10 path=x\n"[..]), file("y", b"")], "an extension header"),
        (vec![(EntryType::Symlink, ".", "a", b"")], "a path has more than"),
        (vec![(EntryType::Symlink, "l", "a", b"x")], "l: neither a file"),
        // `c/d/e` resolves to `c`, so three parent steps from there leave the root.
        (
            vec![(EntryType::Symlink, "c/d/e", "..", b""), (EntryType::Symlink, "z", "c/d/e/../../../x", b"")],
            "z: unsafe_symlink",
        ),
        (vec![(EntryType::Symlink, "a/l", "../../etc", b"")], "a/l: unsafe_symlink to ../../etc"),
        (vec![(EntryType::Symlink, "l", "/etc/passwd", b"")], "l: unsafe_symlink to /etc/passwd"),
        (vec![(EntryType::Symlink, "d/l", "..", b""), (EntryType::Symlink, "d/l/x", "..", b"")], "d/l/x: a file below"),
        (vec![(EntryType::Link, "h", "mix.exs", b"")], "h: neither a file"),
        (vec![(EntryType::Char, "c", "", b"")], "c: neither a file"),
        (vec![(EntryType::Fifo, "f", "", b"")], "f: neither a file"),
        (vec![file("a", b""), (EntryType::Symlink, "./a", "b", b"")], "./a: occurs twice"),
        (vec![(EntryType::Directory, "a", "", b""), file("a", b"")], "a: occurs twice"),
        (vec![file("x/../y", b"")], "x/../y: The path points above"),
        (vec![file("x\\..\\y", b"")], "x\\..\\y: The path points above"),
        (vec![file("/a", b"x"), file("a", b"y")], "a: occurs twice"),
        (vec![file("a/b", b""), file("A/B", b"")], "A/B: occurs twice"),
        (vec![file("\u{17f}", b""), file("s", b"")], "s: occurs twice"),
        (vec![file("a", b""), file("a/b", b"")], "a/b: a file below a file"),
        (vec![file("a/b", b""), file("a", b"")], "a: occurs twice"),
        (vec![file("a/b", b""), (EntryType::Symlink, "a", "c", b"")], "a: occurs twice"),
    ] {
        let found = fault(&tarball(&gzip(&archive(&items))));
        assert!(found.contains(&format!("inner tarball error, {expected}")), "{found}, expected {expected}");
    }
    // Real packages list a file twice.
    let harmless = [file("/a", b"x"), file("a", b"x"), (EntryType::Directory, "b/", "", b"")];
    package(Cursor::new(tarball(&gzip(&archive(&harmless))))).unwrap();
    let two_members = [gzip(&archive(&[file("a", b"")])), gzip(b"x")].concat();
    assert!(fault(&tarball(&two_members)).contains("bytes after the end of the compressed data"));
    assert!(fault(&tarball(b"plain")).contains("inner tarball error"));
    let mut damaged = gzip(&archive(&[file("a", b"x")]));
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    assert!(fault(&tarball(&damaged)).contains("inner tarball error, not gzip"));
    damaged.truncate(last - 4);
    assert_eq!(fault(&tarball(&damaged)), "tar: inner tarball error, Unexpected end of file");
    assert_eq!(docs(&damaged[..]).unwrap_err().to_string(), "tar: tarball error, Unexpected end of file");
}

#[test]
fn archives_end_as_erlang_wants_them_to() {
    let inner = archive(&[file("mix.exs", b"x")]);
    let outer = |inner: &[u8]| tarball(&gzip(inner));
    let whole = outer(&inner);
    let end = whole.len() - 1024;
    package(Cursor::new(&whole[..end + 512])).unwrap();
    package(Cursor::new(outer(&inner[..1536]))).unwrap();
    let junk = [&[0; 512][..], &[b'x'; 512]].concat();
    for bytes in [whole[..end].to_vec(), [&whole[..end], &junk].concat()] {
        assert_eq!(fault(&bytes), "tar: tarball error, Unexpected end of file");
    }
    for bytes in [inner[..1024].to_vec(), [&inner[..1024], &junk].concat()] {
        assert!(fault(&outer(&bytes)).contains("inner tarball error, the end of the archive"));
    }
}

#[test]
fn no_part_hides_behind_another_spelling() {
    let contents = gzip(&archive(&[file("mix.exs", b"x")]));
    let whole = tarball(&contents);
    let with = |name: &str| [&whole[..whole.len() - 1024], &archive(&[file(name, b"3")])].concat();
    for name in ["./metadata.config", "/metadata.config", "a/../VERSION", "../x", "version", "./Checksum", "VERSION.."]
    {
        assert_eq!(fault(&with(name)), format!("tar: tarball error, {name} occurs twice"));
    }
    for name in ["METADA~1.CON", "CHEC\u{212a}SUM", "a\\b", "VERSION:x", "VERSION "] {
        assert_eq!(fault(&with(name)), format!("tar: tarball error, {name} is not a plain name"));
    }
    for name in ["README.md", "docs/VERSION", "VERSION.txt"] {
        package(Cursor::new(with(name))).unwrap();
    }
}

#[test]
fn folders_that_no_entry_names_are_counted() {
    let contents = |folders: usize| {
        let items: Vec<(String, Item<'_>)> = (0..folders / 60)
            .map(|at| {
                let path = format!("{at}/") + &"a/".repeat(59) + "b";
                (format!("{} path={path}\n", path.len() + 10), file("y", b""))
            })
            .collect();
        let records =
            items.iter().flat_map(|(record, item)| [(EntryType::XHeader, "pax", "", record.as_bytes()), *item]);
        tarball(&gzip(&archive(&records.collect::<Vec<_>>())))
    };
    package(Cursor::new(contents(limits::ARCHIVE_ENTRIES))).unwrap();
    assert!(fault(&contents(3 * limits::ARCHIVE_ENTRIES)).contains("too many files"));
}

/// Names of 4096 bytes with many folders are as cheap as others: every entry is hashed once, not once for each folder.
#[test]
fn deep_paths_are_refused() {
    let path = "a/".repeat(limits::ARCHIVE_DEPTH) + "b";
    let record = format!("{} path={path}\n", path.len() + 10);
    let items = [(EntryType::XHeader, "pax", "", record.as_bytes()), file("y", b"")];
    assert!(fault(&tarball(&gzip(&archive(&items)))).contains("a path has more than 4096 bytes or 64 folders"));
    let path = "a/".repeat(limits::ARCHIVE_DEPTH - 1) + "b";
    let record = format!("{} path={path}\n", path.len() + 10);
    let items = [(EntryType::XHeader, "pax", "", record.as_bytes()), file("y", b"")];
    package(Cursor::new(tarball(&gzip(&archive(&items))))).unwrap();
}

#[test]
fn a_bomb_is_stopped() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(limits::UNPACKED + 1);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..=(limits::UNPACKED >> 20) {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(fault(&tarball(&bomb)).contains("too_big_uncompressed: 134217728"));
    assert_eq!(docs(&bomb[..]).unwrap_err().to_string(), "tar: too big (uncompressed)");
}

#[test]
fn docs_have_an_index() {
    docs(&gzip(&archive(&[file("./index.html", b"x")]))[..]).unwrap();
    assert_eq!(docs(&gzip(&archive(&[file("a", b"x")]))[..]).unwrap_err().to_string(), "tar: has no index.html");
    assert!(docs(&b"not gzip"[..]).is_err());
}

#[test]
fn real_packages_are_taken() {
    let Some(folder) = testdata::folder().map(|folder| folder.join("tarballs")) else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = package(Cursor::new(&bytes)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = format!("{}-{}.tar", found.metadata.name, found.metadata.version);
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), file);
        count += 1;
    }
    assert!(count > 30, "{count}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), at in 0usize..4000, with in any::<u8>()) {
        let _ = package(Cursor::new(&bytes));
        let _ = docs(&bytes[..]);
        let mut broken = tarball(&gzip(&archive(&[file("mix.exs", b"x")])));
        if let Some(byte) = broken.get_mut(at) {
            *byte ^= with;
        }
        let _ = package(Cursor::new(&broken));
    }
}
