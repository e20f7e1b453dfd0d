//! Reads the lock files of Mix, rebar3 and Gleam: the releases that a build uses, and their checksums.
//!
//! The format is detected from the content, not from the name of the file. Dependencies that are not Hex packages (git,
//! path) are listed separately, so that callers know that the list of releases is not complete.

mod elixir;
mod gleam;
mod mix;
mod rebar;

use std::fmt;

use super::checksum::Sha256;
use super::limits;
use super::name::PackageName;
use super::resource::ArtifactName;
use super::term::TermError;
use super::version::ReleaseVersion;

/// The format of a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFormat {
    /// `mix.lock`: an Elixir map.
    Mix,
    /// `rebar.lock`: Erlang terms.
    Rebar,
    /// `manifest.toml` of Gleam.
    Gleam,
}

impl fmt::Display for LockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mix => "mix.lock",
            Self::Rebar => "rebar.lock",
            Self::Gleam => "manifest.toml",
        })
    }
}

/// A release in a lock file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedRelease {
    /// The client's name of the repository, such as `hexpm:acme`; `None` if the file does not contain it (rebar3,
    /// Gleam).
    pub repository: Option<Box<str>>,
    /// The package.
    pub package: PackageName,
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 over the parts of the tarball.
    pub inner: Option<Sha256>,
    /// SHA-256 over the whole tarball.
    pub outer: Option<Sha256>,
}

impl LockedRelease {
    /// The package and the version, as in the names of its files.
    pub fn artifact(&self) -> ArtifactName {
        ArtifactName { package: self.package.clone(), version: self.version.clone() }
    }
}

/// The content of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its kind.
    pub format: LockFormat,
    /// The releases, in the order of the file; a release can occur twice.
    pub releases: Vec<LockedRelease>,
    /// The dependencies that are not Hex packages.
    pub others: Vec<Box<str>>,
}

/// Why a lock file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The format is unknown.
    #[error("this is not a lock file; a mix.lock, a rebar.lock or a manifest.toml of Gleam is expected")]
    Format,
    /// The file exceeds the size limit.
    #[error("the lock file has {length} bytes, but at most {max} are allowed")]
    TooLarge {
        /// Its size.
        length: usize,
        /// The size limit.
        max: usize,
    },
    /// The file has too many dependencies.
    #[error("the lock file has more than {max} dependencies")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// A syntax error.
    #[error("the {format} cannot be read: line {line}: {what}")]
    Syntax {
        /// Its kind.
        format: LockFormat,
        /// The line, counted from one.
        line: usize,
        /// What is wrong.
        what: Box<str>,
    },
    /// The file is nested too deeply, or has a number that is out of range.
    #[error("the {format} cannot be read")]
    Term {
        /// Its kind.
        format: LockFormat,
        /// What is wrong.
        #[source]
        source: TermError,
    },
    /// An invalid dependency.
    #[error("the {format} cannot be used: `{name}`: {what}")]
    Entry {
        /// Its kind.
        format: LockFormat,
        /// The name of the dependency in the file.
        name: Box<str>,
        /// What is wrong.
        what: Box<str>,
    },
}

/// Reads a lock file of any format.
pub fn parse(bytes: &[u8]) -> Result<Lock, LockError> {
    if bytes.len() > limits::LOCK {
        return Err(LockError::TooLarge { length: bytes.len(), max: limits::LOCK });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LockError::Format)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format_of(text).ok_or(LockError::Format)? {
        LockFormat::Mix => mix::read(text),
        LockFormat::Rebar => rebar::read(text),
        LockFormat::Gleam => gleam::read(text),
    }
}

/// Detects the format of a lock file from its first characters.
fn format_of(text: &str) -> Option<LockFormat> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let code = lines.find(|line| !line.starts_with('#') && (!line.starts_with('%') || line.starts_with("%{")))?;
    let compact: String = code.chars().filter(|c| !c.is_whitespace()).take(3).collect();
    if compact.starts_with("%{") {
        return Some(LockFormat::Mix);
    }
    // A table in TOML also begins with a bracket, but is followed by a word. JSON begins with a brace, but is not
    // followed by a number.
    let is_terms = ["{\"1", "[{", "[]"].iter().any(|beginning| compact.starts_with(beginning));
    if is_terms {
        return Some(LockFormat::Rebar);
    }
    let packages = text.lines().any(|line| line.trim_start().starts_with("packages"));
    let requirements = text.lines().any(|line| line.trim() == "[requirements]");
    (packages || requirements).then_some(LockFormat::Gleam)
}

/// The dependencies that the parsers collect.
struct Collected {
    format: LockFormat,
    releases: Vec<LockedRelease>,
    others: Vec<Box<str>>,
}

impl Collected {
    fn new(format: LockFormat) -> Self {
        Self { format, releases: Vec::new(), others: Vec::new() }
    }

    fn fault(&self, name: &str, what: impl fmt::Display) -> LockError {
        let name = name.chars().take(limits::EXCERPT).collect();
        LockError::Entry { format: self.format, name, what: what.to_string().into() }
    }

    fn room(&self) -> Result<(), LockError> {
        let full = self.releases.len() + self.others.len() >= limits::LOCKED;
        if full { Err(LockError::TooMany { max: limits::LOCKED }) } else { Ok(()) }
    }

    fn other(&mut self, name: &str) -> Result<(), LockError> {
        self.room()?;
        self.others.push(name.chars().take(limits::EXCERPT).collect());
        Ok(())
    }

    /// Adds a release. `name` is the name of the dependency in the file.
    fn release(&mut self, name: &str, entry: LockEntry<'_>) -> Result<(), LockError> {
        self.room()?;
        let package = entry.package.parse().map_err(|error| self.fault(name, error))?;
        let version = entry.version.parse().map_err(|error| self.fault(name, error))?;
        let digest = |text: Option<&str>| match text {
            None | Some("") => Ok(None),
            Some(text) => Sha256::from_hex(text).map(Some).map_err(|error| self.fault(name, error)),
        };
        let (inner, outer) = (digest(entry.inner)?, digest(entry.outer)?);
        if let Some(repository) = entry.repository
            && (repository.len() > limits::CLIENT_REPOSITORY || repository.is_empty() || repository.contains(unfit))
        {
            return Err(self.fault(name, "the name of the repository is invalid"));
        }
        let repository = entry.repository.map(Into::into);
        self.releases.push(LockedRelease { repository, package, version, inner, outer });
        Ok(())
    }

    fn finish(self) -> Lock {
        Lock { format: self.format, releases: self.releases, others: self.others }
    }
}

fn unfit(character: char) -> bool {
    character.is_control() || character.is_whitespace() || character == '/'
}

/// A dependency as it is written in the file.
struct LockEntry<'a> {
    repository: Option<&'a str>,
    package: &'a str,
    version: &'a str,
    inner: Option<&'a str>,
    outer: Option<&'a str>,
}

#[cfg(test)]
mod tests;
