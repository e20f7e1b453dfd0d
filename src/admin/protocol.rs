//! What goes over the administration socket: JSON objects, one a line where there are several.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::commands::Outcome;
use super::locked::LockedReleases;
use crate::tasks::report::Event;

/// `POST /purge`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Repository key; installers where it is left out.
    pub repository: Option<String>,
    /// A package; everything where it is left out.
    pub package: Option<String>,
    /// A version of the package.
    pub version: Option<String>,
}

/// What a purge removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Registry resources.
    pub resources: usize,
    /// Tarballs.
    pub tarballs: usize,
    /// Docs.
    pub docs: usize,
    /// Lists of installers.
    pub lists: usize,
    /// Installers.
    pub installers: usize,
}

/// A public key of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Id in the configuration; `upstream` for a key that is not ours.
    pub id: String,
    /// SPKI PEM.
    pub pem: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// `POST /jobs`: work that takes a while. Its answer is a [`Line`] after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Prove everything in the store again.
    VerifyStore {
        /// Remove what is not sound.
        repair: bool,
    },
    /// Bring what lock files name.
    Prefetch(Prefetch),
    /// Save what cannot be made again.
    Backup {
        /// The new file; absolute.
        file: PathBuf,
    },
    /// Publish the packages of a folder.
    Import {
        /// Key of the local repository.
        repository: String,
        /// Where the packages are, as an absolute path.
        folder: PathBuf,
    },
    /// Bring a registry, or look whether it is here.
    Mirror(Mirror),
    /// Make, prove or take in a bundle.
    Bundle(Bundle),
    /// Remove cached files that nothing needs.
    Collect(Collect),
}

/// What of the cache is kept. One of `keep_latest` and `unused_for` is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect {
    /// What lock files name.
    pub releases: LockedReleases,
    /// So many of the newest releases of each package.
    pub keep_latest: Option<usize>,
    /// What was used within so many seconds.
    pub unused_for: Option<u64>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What is to be done with a bundle. Files are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bundle {
    /// Make one.
    Create(CreateBundle),
    /// Prove one; `trust`: the fingerprint of a key that may have signed it.
    Verify { file: PathBuf, trust: Option<String> },
    /// Take one in.
    Import { file: PathBuf, trust: Option<String> },
    /// Say with which key this server signs its own.
    Key,
}

/// What goes into a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateBundle {
    /// What it is to hold.
    pub wanted: Prefetch,
    /// The installers that are here, too.
    pub installers: bool,
    /// A bundle whose files are left out.
    pub since: Option<PathBuf>,
    /// The new file.
    pub file: PathBuf,
}

/// What is to be brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefetch {
    /// Key of the repository that stands for what clients call hexpm; `None`: the default one.
    pub repository: Option<String>,
    /// What the lock files name.
    pub releases: LockedReleases,
    /// Docs, too.
    pub docs: bool,
    /// So many of the newest releases of each package, too.
    pub latest: usize,
    /// What the releases depend on, too.
    pub closure: bool,
}

/// A registry, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Key of the remote repository.
    pub repository: String,
    /// Patterns of package names; empty: all.
    pub packages: Vec<String>,
    /// So many of the newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Milliseconds since the epoch; only what was published since.
    pub since: Option<u64>,
    /// Documentation, too.
    pub docs: bool,
    /// Requests under way at one time.
    pub connections: usize,
    /// Bytes a second; `None`: as fast as it goes.
    pub rate: Option<u64>,
    /// What is to be done with it.
    pub action: MirrorAction,
    /// Write what is here into this folder afterwards, for a web server.
    pub to: Option<PathBuf>,
}

/// What is to be done with a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorAction {
    /// Bring what is not here.
    Bring,
    /// Only say what would be brought.
    DryRun,
    /// Prove what is here, ask nobody.
    Verify,
    /// The same, and bring what is missing or wrong.
    Repair,
}

/// One line of the answer to `POST /jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Something on the way.
    Event(Event),
    /// The end.
    Outcome(Outcome),
    /// The end, before anything came of it.
    Failure(String),
}
