//! The types of packages and releases in local repositories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::metadata::Metadata;

/// The level of an owner of a package. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerLevel {
    /// Publish and retire releases, write documentation.
    Maintainer,
    /// Also change the owners.
    Full,
}

impl OwnerLevel {
    /// The word for the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maintainer => "maintainer",
            Self::Full => "full",
        }
    }

    /// Parses the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Maintainer, Self::Full].into_iter().find(|level| level.as_str() == word)
    }
}

/// The metadata of a release, except for its dependencies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReleaseMetadata {
    /// The OTP application.
    pub app: String,
    /// The description.
    pub description: Option<String>,
    /// The licences as written by the author.
    pub licenses: Vec<String>,
    /// The links: title → URL.
    pub links: BTreeMap<String, String>,
    /// The maintainers.
    pub maintainers: Vec<String>,
    /// The build tools: `mix`, `rebar3`, …
    pub build_tools: Vec<String>,
    /// The required version of Elixir.
    pub elixir: Option<String>,
    /// Other metadata from the author.
    pub extra: Map<String, Value>,
}

impl From<&Metadata> for ReleaseMetadata {
    fn from(metadata: &Metadata) -> Self {
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            app: metadata.app.to_string(),
            description: metadata.description.as_deref().map(str::to_owned),
            licenses: texts(&metadata.licenses),
            links: metadata.links.clone(),
            maintainers: texts(&metadata.maintainers),
            build_tools: texts(&metadata.build_tools),
            elixir: metadata.elixir.as_deref().map(str::to_owned),
            extra: metadata.extra.clone(),
        }
    }
}

/// A dependency of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The name of the package.
    pub package: String,
    /// The version requirement.
    pub requirement: String,
    /// Whether the dependency is optional: only used if something else requires it.
    pub optional: bool,
    /// The OTP application of the package.
    pub app: String,
    /// The key of the package's repository.
    pub repository: String,
}

/// The retirement of a release, which warns against its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The reason.
    pub reason: RetirementReason,
    /// The message for users.
    pub message: Option<String>,
}

/// A documentation archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docs {
    /// SHA-256 of the archive.
    pub digest: Sha256,
    /// The size in bytes.
    pub size: u64,
}

/// The data of a release that is kept in memory for all releases of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRelease {
    /// The version.
    pub version: String,
    /// The inner checksum: SHA-256 of the contents of the tarball.
    pub inner: Sha256,
    /// The outer checksum: SHA-256 of the whole tarball.
    pub outer: Sha256,
    /// The size of the tarball in bytes.
    pub size: u64,
    /// The documentation, if any.
    pub docs: Option<Docs>,
    /// The retirement, if any.
    pub retirement: Option<Retirement>,
    /// The time of the first publication.
    pub inserted_at: Timestamp,
    /// The time at which the current tarball was published; later than the first if it replaced another one.
    pub published_at: Timestamp,
}

/// A package with its releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPackage {
    /// Its name.
    pub name: String,
    /// The time at which its first release was published.
    pub inserted_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// Its releases, in no particular order.
    pub releases: Vec<ListedRelease>,
}

/// A release with all its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The data that is kept in memory.
    pub listed: ListedRelease,
    /// The metadata.
    pub about: ReleaseMetadata,
    /// The dependencies, sorted by package.
    pub requirements: Vec<Requirement>,
    /// The user who published it.
    pub publisher: Option<String>,
    /// The time of the last replacement or change.
    pub updated_at: Timestamp,
}

/// A package with all its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The time at which its first release was published.
    pub inserted_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// The time at which documentation was last published.
    pub docs_updated_at: Option<Timestamp>,
    /// The owners: user name → level.
    pub owners: BTreeMap<String, OwnerLevel>,
    /// Its releases, in no particular order.
    pub releases: Vec<Release>,
}

/// The data of a package that a search uses.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRow {
    /// The name of the package.
    pub name: String,
    /// The time at which its first release was published.
    pub inserted_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// The metadata of its latest release.
    pub about: ReleaseMetadata,
}

/// The record of a removed version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// SHA-256 of the removed tarball.
    pub outer: Sha256,
    /// Whether not even the same tarball may be published again.
    pub is_final: bool,
    /// The reason of the removal.
    pub reason: String,
    /// The user who removed it.
    pub removed_by: Option<String>,
    /// The time of the removal.
    pub removed_at: Timestamp,
}
