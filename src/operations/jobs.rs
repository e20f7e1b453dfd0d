//! Work that takes a while, as the terminal orders it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::locked_releases::LockedReleases;

/// Work that takes a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Prove everything in the store again.
    VerifyStore {
        /// Remove what is not sound.
        repair: bool,
    },
    /// Bring what lock files name.
    Prefetch(PrefetchJob),
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
    Mirror(MirrorJob),
    /// Make, prove or take in a bundle.
    Bundle(BundleJob),
    /// Remove cached files that nothing needs.
    Collect(CollectJob),
}

/// What of the cache is kept. One of `keep_latest` and `unused_for` is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectJob {
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
pub enum BundleJob {
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
    pub wanted: PrefetchJob,
    /// The installers that are here, too.
    pub installers: bool,
    /// A bundle whose files are left out.
    pub since: Option<PathBuf>,
    /// The new file.
    pub file: PathBuf,
}

/// What is to be brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchJob {
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
pub struct MirrorJob {
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
