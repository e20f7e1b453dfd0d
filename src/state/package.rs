//! Packages of local repositories: what is known of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::metadata::Metadata;

/// What an owner of a package may do. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerLevel {
    /// Publish, retire, write docs.
    Maintainer,
    /// And change the owners.
    Full,
}

impl OwnerLevel {
    /// The word of the API, and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maintainer => "maintainer",
            Self::Full => "full",
        }
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Maintainer, Self::Full].into_iter().find(|level| level.as_str() == word)
    }
}

/// What a release says of itself, beside what it depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReleaseMetadata {
    /// The OTP application.
    pub app: String,
    /// A sentence.
    pub description: Option<String>,
    /// Licences, as written.
    pub licenses: Vec<String>,
    /// Text → URL.
    pub links: BTreeMap<String, String>,
    /// People.
    pub maintainers: Vec<String>,
    /// `mix`, `rebar3`, …
    pub build_tools: Vec<String>,
    /// Which Elixir it needs.
    pub elixir: Option<String>,
    /// Whatever else the author added.
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

/// A package that a release depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Its name.
    pub package: String,
    /// Which versions.
    pub requirement: String,
    /// Whether it is only used if something else asks for it.
    pub optional: bool,
    /// Its OTP application.
    pub app: String,
    /// Key of the repository where it lives.
    pub repository: String,
}

/// Why and since when a release should not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// Why.
    pub reason: RetirementReason,
    /// What is said of it.
    pub message: Option<String>,
}

/// A documentation archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docs {
    /// SHA-256 of it.
    pub digest: Sha256,
    /// Bytes.
    pub size: u64,
}

/// A release, without what it says of itself: what fits into memory for all releases of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRelease {
    /// The version.
    pub version: String,
    /// Over the parts of the tarball.
    pub inner: Sha256,
    /// Over the whole tarball.
    pub outer: Sha256,
    /// Bytes of the tarball.
    pub size: u64,
    /// Its documentation.
    pub docs: Option<Docs>,
    /// Whether it should not be used.
    pub retirement: Option<Retirement>,
    /// When it was published first.
    pub inserted_at: Timestamp,
    /// When its present tarball was published: later, where that has taken the place of another one.
    pub published_at: Timestamp,
}

/// A package with the versions that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPackage {
    /// Its name.
    pub name: String,
    /// When its first release was published.
    pub inserted_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// Its releases, in no particular order.
    pub releases: Vec<ListedRelease>,
}

/// A release with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// What fits into memory.
    pub listed: ListedRelease,
    /// What it says of itself.
    pub about: ReleaseMetadata,
    /// What it depends on, sorted by package.
    pub requirements: Vec<Requirement>,
    /// The user who published it.
    pub publisher: Option<String>,
    /// When it was replaced or changed last.
    pub updated_at: Timestamp,
}

/// A package with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// When its first release was published.
    pub inserted_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// When documentation was published last.
    pub docs_updated_at: Option<Timestamp>,
    /// User name → level.
    pub owners: BTreeMap<String, OwnerLevel>,
    /// Its releases, in no particular order.
    pub releases: Vec<Release>,
}

/// What a search looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRow {
    /// Name.
    pub name: String,
    /// When its first release was published.
    pub inserted_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// What its latest release says of itself.
    pub about: ReleaseMetadata,
}

/// A version that was there and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// SHA-256 of the tarball that was there.
    pub outer: Sha256,
    /// Whether not even the same bytes may come back.
    pub is_final: bool,
    /// Why it went.
    pub reason: String,
    /// Who removed it.
    pub removed_by: Option<String>,
    /// When.
    pub removed_at: Timestamp,
}
