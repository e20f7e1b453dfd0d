//! Lock files of mix, rebar3 and gleam: which releases a build takes, and their checksums.
//!
//! Which kind it is is seen by its content, not by its file's name. What is no Hex package (git, path) is named, so that
//! nobody takes the list for everything that a build needs.

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

/// A kind of lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFormat {
    /// `mix.lock`: an Elixir map.
    Mix,
    /// `rebar.lock`: Erlang terms.
    Rebar,
    /// `manifest.toml` of gleam.
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

/// A release that a lock file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedRelease {
    /// What the client calls the repository, `hexpm:acme`; `None` where the file does not say (rebar3, gleam).
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
    /// The release, as the name of its files spells it.
    pub fn artifact(&self) -> ArtifactName {
        ArtifactName { package: self.package.clone(), version: self.version.clone() }
    }
}

/// What a lock file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its kind.
    pub format: LockFormat,
    /// The releases, in the order of the file; the same one may be named twice.
    pub releases: Vec<LockedRelease>,
    /// Dependencies that are no Hex packages.
    pub others: Vec<Box<str>>,
}

/// Why a text is not a lock file that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// None of the known kinds.
    #[error("this is no lock file: a mix.lock, a rebar.lock or gleam's manifest.toml is expected")]
    Format,
    /// Larger than any.
    #[error("a lock file has at most {max} bytes, this one has {length}")]
    TooLarge {
        /// Its size.
        length: usize,
        /// The largest that is read.
        max: usize,
    },
    /// More dependencies than any.
    #[error("a lock file names at most {max} dependencies")]
    TooMany {
        /// How many are read.
        max: usize,
    },
    /// Not the text that its kind is.
    #[error("the {format} cannot be read: line {line}: {what}")]
    Syntax {
        /// Its kind.
        format: LockFormat,
        /// Where, counted from one.
        line: usize,
        /// What is wrong.
        what: Box<str>,
    },
    /// Nested too deeply, or a number out of range.
    #[error("the {format} cannot be read")]
    Term {
        /// Its kind.
        format: LockFormat,
        /// What is wrong.
        #[source]
        source: TermError,
    },
    /// A dependency that cannot be one.
    #[error("the {format} cannot be used: `{name}`: {what}")]
    Entry {
        /// Its kind.
        format: LockFormat,
        /// What the file calls the dependency.
        name: Box<str>,
        /// What is wrong.
        what: Box<str>,
    },
}

/// Reads a lock file of any kind.
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

/// Which kind of lock file a text may be, by its first words.
fn format_of(text: &str) -> Option<LockFormat> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let code = lines.find(|line| !line.starts_with('#') && (!line.starts_with('%') || line.starts_with("%{")))?;
    let compact: String = code.chars().filter(|c| !c.is_whitespace()).take(3).collect();
    if compact.starts_with("%{") {
        return Some(LockFormat::Mix);
    }
    // A table of TOML begins with a bracket, too, but with a word behind it; JSON with a brace, but no number.
    let is_terms = ["{\"1", "[{", "[]"].iter().any(|beginning| compact.starts_with(beginning));
    if is_terms {
        return Some(LockFormat::Rebar);
    }
    let packages = text.lines().any(|line| line.trim_start().starts_with("packages"));
    let requirements = text.lines().any(|line| line.trim() == "[requirements]");
    (packages || requirements).then_some(LockFormat::Gleam)
}

/// What the readers collect.
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

    /// Takes in a release; `name` is what the file calls the dependency.
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
            return Err(self.fault(name, "this is no name of a repository"));
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

/// A dependency as its file spells it.
struct LockEntry<'a> {
    repository: Option<&'a str>,
    package: &'a str,
    version: &'a str,
    inner: Option<&'a str>,
    outer: Option<&'a str>,
}

#[cfg(test)]
mod tests;
