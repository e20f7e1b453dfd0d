//! Real resources and tarballs for tests, if they are available.

use std::path::PathBuf;

/// The folder of real data: `HEXKEEP_TEST_DATA`, else `../shared/testdata` next to the crate. Prints a message if it
/// does not exist.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("HEXKEEP_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/testdata")), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data in {} (set HEXKEEP_TEST_DATA)", folder.display());
    None
}

/// Reads a file in that folder.
pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    let file = folder()?.join(path);
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}
