//! Long operations, as the command line requests them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::locked_releases::LockedReleases;

/// A long operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Verify every file in the store again.
    VerifyStore {
        /// Remove damaged files.
        repair: bool,
    },
    /// Download the releases in lock files.
    Prefetch(PrefetchJob),
    /// Save all data that cannot be downloaded or rebuilt.
    Backup {
        /// Absolute path of the new file.
        file: PathBuf,
    },
    /// Publish the packages in a folder.
    Import {
        /// Key of the local repository.
        repository: String,
        /// Absolute path of the folder.
        folder: PathBuf,
    },
    /// Mirror a registry, or verify a mirror.
    Mirror(MirrorJob),
    /// Create, verify or import a bundle.
    Bundle(BundleJob),
    /// Remove cached files that are no longer needed.
    Collect(CollectJob),
}

/// Which cached files are kept. At least one of `keep_latest` and `unused_for` is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectJob {
    /// Keep the releases in lock files.
    pub releases: LockedReleases,
    /// Keep this number of newest releases of each package.
    pub keep_latest: Option<usize>,
    /// Keep files that were used within this number of seconds.
    pub unused_for: Option<u64>,
    /// Report what would be removed, without removing it.
    pub dry_run: bool,
}

/// An operation on a bundle. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BundleJob {
    /// Create a bundle.
    Create(CreateBundle),
    /// Verify a bundle; `trust` is the fingerprint of an additional trusted key.
    Verify { file: PathBuf, trust: Option<String> },
    /// Import a bundle; `trust` as for `Verify`.
    Import { file: PathBuf, trust: Option<String> },
    /// Return the fingerprint of the key with which this server signs bundles.
    Key,
}

/// The contents of a new bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateBundle {
    /// Releases and documentation.
    pub wanted: PrefetchJob,
    /// Include the cached installers.
    pub installers: bool,
    /// An earlier bundle whose files are left out.
    pub since: Option<PathBuf>,
    /// Path of the new file.
    pub file: PathBuf,
}

/// What to download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchJob {
    /// Key of the repository for packages that lock files list under `hexpm`; `None`: the default repository.
    pub repository: Option<String>,
    /// The releases in the lock files.
    pub releases: LockedReleases,
    /// Include documentation.
    pub docs: bool,
    /// Include this number of newest releases of each package.
    pub latest: usize,
    /// Include all dependencies.
    pub closure: bool,
}

/// A mirror of a registry, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorJob {
    /// Key of the remote repository.
    pub repository: String,
    /// Patterns of package names; empty: all.
    pub packages: Vec<String>,
    /// Number of newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    /// Only releases that were published since this time, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// Include documentation.
    pub docs: bool,
    /// Maximum number of concurrent requests; zero is no limit.
    pub connections: usize,
    /// Maximum bytes per second; `None`: no limit.
    pub rate: Option<u64>,
    /// Download or verify.
    pub action: MirrorAction,
    /// After that, write the mirrored files to this folder, for a web server.
    pub to: Option<PathBuf>,
}

/// What a mirror job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorAction {
    /// Download missing files.
    Bring,
    /// Report what would be downloaded, without downloading it.
    DryRun,
    /// Verify the mirrored files, without requests to the upstream.
    Verify,
    /// Verify, and download files that are missing or damaged.
    Repair,
}
