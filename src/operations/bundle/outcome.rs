//! Results of bundle commands.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::operations::outcome::{Text, count};

/// The result of a bundle command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BundleOutcome {
    /// A bundle was created.
    Created {
        /// Contents of the bundle.
        contents: Contents,
        /// Number of files in the bundle.
        files: usize,
        /// Size of the bundle in bytes.
        bytes: u64,
        /// Path of the bundle.
        file: PathBuf,
        /// Number of files that were left out because an earlier bundle contains them, and the path of that bundle.
        elsewhere: Option<(usize, PathBuf)>,
        /// Fingerprint of the key that signed the bundle.
        signer: String,
    },
    /// No bundle was created.
    NotCreated {
        /// An error for each missing file.
        failed: Vec<String>,
    },
    /// A bundle was verified.
    Proven {
        /// Contents of the bundle.
        contents: Contents,
        /// The earlier bundle that this one depends on.
        since: Option<Since>,
        /// Fingerprint of the key that signed the bundle.
        signer: String,
    },
    /// A bundle was imported.
    Imported {
        /// Number of files that were stored.
        files: u64,
        /// Number of files that were already in the store.
        there: u64,
        /// Size of the stored files in bytes.
        bytes: u64,
        /// Number of packages whose index has changed.
        packages: u64,
        /// Number of resources that were not changed because the store has newer ones.
        newer: u64,
        /// Number of packages that the upstream has removed after the bundle was created.
        removed: u64,
        /// Number of installer lists that have changed.
        lists: u64,
        /// Number of releases that are now exempt from policies for lock files, as on the server that created the
        /// bundle.
        owed: usize,
        /// Number of cached files that were evicted during the import.
        evicted: u64,
    },
    /// The fingerprint of the key with which this server signs bundles.
    Key(String),
}

/// Contents of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Number of releases.
    pub releases: usize,
    /// Number of documentation archives.
    pub docs: usize,
    /// Number of installers.
    pub installers: usize,
}

/// The earlier bundle that a bundle depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Digest of its manifest.
    pub digest: String,
    /// Number of needed files that it contains.
    pub files: usize,
    /// Number of those that are not in this store.
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
                    Text::line(format!("wrote {contents} to {}: {files} files, {bytes} bytes", file.display()));
                if let Some((count, since)) = elsewhere {
                    text.lines.push(format!("left out {count} files that are in {}", since.display()));
                }
                text.remarks.push(format!("hexkeep: signed with the bundle key {signer}"));
                text
            }
            Self::NotCreated { failed } => {
                let mut remarks: Vec<String> = failed.iter().map(|sentence| format!("hexkeep: {sentence}")).collect();
                remarks.push("hexkeep: no bundle was created, because some of its files are missing".to_owned());
                Text { lines: Vec::new(), remarks, failed: true }
            }
            Self::Proven { contents, since, signer } => {
                let mut text = Text::line(format!("verified {contents}"));
                if let Some(Since { digest, files, missing }) = since {
                    text.lines
                        .push(format!("{files} files are in the earlier bundle {digest}; {missing} of them are missing from this store"));
                }
                text.remarks.push(format!("hexkeep: signed with the bundle key {signer}"));
                text
            }
            Self::Imported { files, there, bytes, packages, newer, removed, lists, owed, evicted } => {
                let mut text = Text::line(format!(
                    "{} imported ({bytes} bytes), {there} were already in the store; {packages} packages and {lists} installer \
                     lists have changed",
                    count(*files, "file was", "files were")
                ));
                if *newer > 0 {
                    text.lines.push(format!("{newer} resources were not changed, because this store has newer ones"));
                }
                if *removed > 0 {
                    text.lines.push(format!("{removed} packages were not imported, because the upstream has removed them after the bundle was created"));
                }
                if *owed > 0 {
                    text.lines.push(format!(
                        "{owed} releases are protected from policy changes, as on the server that created the bundle"
                    ));
                }
                if *evicted > 0 {
                    text.failed = true;
                    let why =
                        "storage.cache_limit is too small for the bundle; increase it and import the bundle again";
                    text.remarks
                        .push(format!("hexkeep: {evicted} files were evicted from the cache during the import, possibly imported ones: {why}"));
                }
                text
            }
            Self::Key(fingerprint) => Text::line(fingerprint),
        }
    }
}
