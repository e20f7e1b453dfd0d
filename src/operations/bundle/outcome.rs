//! What came of a bundle.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::operations::outcome::{Text, count};

/// What came of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BundleOutcome {
    /// One was made.
    Created {
        /// What it holds.
        contents: Contents,
        /// Files in it.
        files: usize,
        /// Bytes of it.
        bytes: u64,
        /// Where it is.
        file: PathBuf,
        /// How many files are in an earlier bundle and are not repeated, and that bundle.
        elsewhere: Option<(usize, PathBuf)>,
        /// Fingerprint of the key that has signed it.
        signer: String,
    },
    /// None was made.
    NotCreated {
        /// A sentence for each thing that is not here.
        failed: Vec<String>,
    },
    /// One was proven.
    Proven {
        /// What it holds.
        contents: Contents,
        /// The earlier bundle that it builds on.
        since: Option<Since>,
        /// Fingerprint of the key that has signed it.
        signer: String,
    },
    /// One was taken in.
    Imported {
        /// Files that were stored.
        files: u64,
        /// Files that were there.
        there: u64,
        /// Bytes that were stored.
        bytes: u64,
        /// Packages whose index is another one now.
        packages: u64,
        /// Resources that stay as they are, since what is here is newer.
        newer: u64,
        /// Packages that their upstream has removed since.
        removed: u64,
        /// Lists of installers.
        lists: u64,
        /// Releases that are kept for lock files, as where the bundle was made.
        owed: usize,
        /// Files of the cache that were evicted meanwhile.
        evicted: u64,
    },
    /// The fingerprint of the key that signs bundles here.
    Key(String),
}

/// What a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Releases.
    pub releases: usize,
    /// Documentation archives.
    pub docs: usize,
    /// Installers.
    pub installers: usize,
}

/// The earlier bundle that a bundle builds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The digest of its manifest.
    pub digest: String,
    /// Files that are in it.
    pub files: usize,
    /// How many of them are not here.
    pub missing: usize,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { releases, docs, installers } = self;
        write!(f, "{}, {docs} docs and {installers} installers", count(*releases, "release", "releases"))
    }
}

impl BundleOutcome {
    pub(in crate::operations) fn text(&self) -> Text {
        match self {
            Self::Created { contents, files, bytes, file, elsewhere, signer } => {
                let mut text =
                    Text::line(format!("{contents}; {files} files of {bytes} bytes are in {}", file.display()));
                if let Some((count, since)) = elsewhere {
                    text.lines.push(format!("{count} files are in {} and are not repeated", since.display()));
                }
                text.remarks.push(format!("hexkeep: signed with the bundle key {signer}"));
                text
            }
            Self::NotCreated { failed } => {
                let mut remarks: Vec<String> = failed.iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
                remarks.push("hexkeep: no bundle was made, since not everything that goes into it is here".to_owned());
                Text { lines: Vec::new(), remarks, failed: true }
            }
            Self::Proven { contents, since, signer } => {
                let mut text = Text::line(format!("{contents} are sound"));
                if let Some(Since { digest, files, missing }) = since {
                    text.lines
                        .push(format!("{files} files are in the bundle {digest}; {missing} of them are not here"));
                }
                text.remarks.push(format!("hexkeep: signed with the bundle key {signer}"));
                text
            }
            Self::Imported { files, there, bytes, packages, newer, removed, lists, owed, evicted } => {
                let mut text = Text::line(format!(
                    "{} imported ({bytes} bytes), {there} were there; {packages} packages and {lists} lists of installers have \
                     changed",
                    count(*files, "file was", "files were")
                ));
                if *newer > 0 {
                    text.lines.push(format!("{newer} resources are newer here than in the bundle, and stay"));
                }
                if *removed > 0 {
                    text.lines.push(format!("{removed} packages were removed by their upstream since, and stay so"));
                }
                if *owed > 0 {
                    text.lines.push(format!("{owed} releases are kept to be had as where the bundle was made"));
                }
                if *evicted > 0 {
                    text.failed = true;
                    let why = "storage.cache_limit is too small for it; make it larger and import the bundle again";
                    text.remarks
                        .push(format!("hexkeep: {evicted} files were evicted meanwhile, perhaps some of these: {why}"));
                }
                text
            }
            Self::Key(fingerprint) => Text::line(fingerprint),
        }
    }
}
