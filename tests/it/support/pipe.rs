//! A bundle that comes in as slowly as a test wants: a named pipe in the place of the file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::process::Home;

/// The offsets in a bundle behind each of its objects, in their order.
pub(crate) fn ends(bundle: &[u8]) -> Vec<usize> {
    let mut archive = tar::Archive::new(bundle);
    let ends = archive.entries().unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let is_object = entry.path_bytes().starts_with(b"objects/");
        let end = usize::try_from(entry.raw_file_position() + entry.size()).unwrap();
        is_object.then_some(end.next_multiple_of(512))
    });
    ends.collect()
}

/// A bundle that was proven from its beginning to its end, and taken in up to where the test lets it.
pub(crate) struct Pipe {
    bundle: Vec<u8>,
    path: PathBuf,
    behind: PathBuf,
}

/// The rest of it.
pub(crate) struct Rest(File, Vec<u8>);

fn make(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

impl Pipe {
    /// A pipe in a home for what is in this file.
    pub(crate) fn of(home: &Home, bundle: &Path) -> Self {
        let (path, behind) = (home.path("pipe.bundle"), home.path("pipe.behind"));
        for old in [&path, &behind] {
            let _ = fs::remove_file(old);
        }
        make(&path);
        make(&behind);
        Self { bundle: fs::read(bundle).unwrap(), path, behind }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Gives all of it to who proves it, and then so many bytes to who takes it in. Blocks until both have opened it.
    pub(crate) fn feed(&self, bytes: usize) -> Rest {
        let mut proving = File::options().write(true).open(&self.path).unwrap();
        // Who opens it next is somebody else.
        fs::rename(&self.behind, &self.path).unwrap();
        // The last bytes say nothing, and need not be read.
        let _ = proving.write_all(&self.bundle);
        drop(proving);
        let mut taking = File::options().write(true).open(&self.path).unwrap();
        taking.write_all(&self.bundle[..bytes]).unwrap();
        Rest(taking, self.bundle[bytes..].to_vec())
    }
}

impl Rest {
    /// Gives the rest, as far as it is wanted.
    pub(crate) fn go_on(mut self) {
        let _ = self.0.write_all(&self.1);
    }
}
