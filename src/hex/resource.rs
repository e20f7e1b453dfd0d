//! The resources of a repository and their paths.
//!
//! The path of a request is parsed once, into a [`Resource`]. All later code uses this value. Paths for upstreams and
//! for the disk are built from the value, never from the text of the request.

use std::fmt;

use super::installs::InstallsPath;
use super::name::{NameError, PackageName, PolicyName};
use super::version::{ReleaseVersion, VersionError};

/// Why a path is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No such path exists, whatever the repository contains.
    #[error("this path does not exist")]
    UnknownPath,
    /// The name in the path is invalid.
    #[error("the path contains an invalid name")]
    BadName(#[source] BadName),
}

/// What is wrong with the name in a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// A package or policy name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The version in the name of a file.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A file name without a hyphen between package and version, or with another ending.
    #[error("the name of a file must have the form NAME-VERSION{0}")]
    File(&'static str),
}

/// A signed resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RegistryResource {
    /// `names`: every package, and when it changed.
    Names,
    /// `versions`: every package with its versions.
    Versions,
    /// `packages/NAME`: the releases of one package.
    Package(PackageName),
    /// `policies/NAME`
    Policy(PolicyName),
}

impl RegistryResource {
    /// The resource with this [`path`](Self::path); `None` if no signed resource has it.
    pub fn of_path(path: &str) -> Option<Self> {
        match Resource::parse(&path.split('/').collect::<Vec<_>>()) {
            Ok(Resource::Registry(resource)) => Some(resource),
            _ => None,
        }
    }

    /// The path below a base URL, without a leading slash: `packages/jason`.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The name that the payload must contain; `None` for `names` and `versions`.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Names | Self::Versions => None,
            Self::Package(name) => Some(name.as_str()),
            Self::Policy(name) => Some(name.as_str()),
        }
    }
}

impl fmt::Display for RegistryResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names => f.write_str("names"),
            Self::Versions => f.write_str("versions"),
            Self::Package(name) => write!(f, "packages/{name}"),
            Self::Policy(name) => write!(f, "policies/{name}"),
        }
    }
}

/// The package and the version of a release, as in the names of its files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactName {
    /// The package.
    pub package: PackageName,
    /// The release's version.
    pub version: ReleaseVersion,
}

const TARBALL: &str = ".tar";
const DOCS: &str = ".tar.gz";

impl ArtifactName {
    /// Reads `jason-1.4.4.tar`.
    pub fn parse_tarball(file: &str) -> Result<Self, BadName> {
        Self::parse(file, TARBALL)
    }

    /// Reads `jason-1.4.4.tar.gz`.
    pub fn parse_docs(file: &str) -> Result<Self, BadName> {
        Self::parse(file, DOCS)
    }

    /// `tarballs/jason-1.4.4.tar`
    pub fn tarball_path(&self) -> String {
        format!("tarballs/{self}{TARBALL}")
    }

    /// `docs/jason-1.4.4.tar.gz`
    pub fn docs_path(&self) -> String {
        format!("docs/{self}{DOCS}")
    }

    /// Package names contain no hyphen, so the first hyphen ends the name, even if the version contains more.
    fn parse(file: &str, ending: &'static str) -> Result<Self, BadName> {
        let stem = file.strip_suffix(ending).ok_or(BadName::File(ending))?;
        let (package, version) = stem.split_once('-').ok_or(BadName::File(ending))?;
        Ok(Self { package: package.parse()?, version: version.parse()? })
    }
}

impl fmt::Display for ArtifactName {
    /// `jason-1.4.4`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.package, self.version)
    }
}

/// Any resource of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A signed resource.
    Registry(RegistryResource),
    /// `tarballs/NAME-VERSION.tar`
    Tarball(ArtifactName),
    /// `docs/NAME-VERSION.tar.gz`
    Docs(ArtifactName),
    /// `public_key`
    PublicKey,
    /// `installs/…` and `builds/…`, which are the same below every base URL.
    Installs(InstallsPath),
}

impl fmt::Display for Resource {
    /// Prints the path: `packages/jason`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl Resource {
    /// Parses the decoded segments of a path below a base URL: `["packages", "jason"]`.
    pub fn parse(segments: &[&str]) -> Result<Self, RouteError> {
        let bad = RouteError::BadName;
        match segments {
            ["names"] => Ok(Self::Registry(RegistryResource::Names)),
            ["versions"] => Ok(Self::Registry(RegistryResource::Versions)),
            ["packages", name] => match name.parse() {
                Ok(name) => Ok(Self::Registry(RegistryResource::Package(name))),
                Err(error) => Err(bad(BadName::Name(error))),
            },
            ["policies", name] => match name.parse() {
                Ok(name) => Ok(Self::Registry(RegistryResource::Policy(name))),
                Err(error) => Err(bad(BadName::Name(error))),
            },
            ["tarballs", file] => ArtifactName::parse_tarball(file).map(Self::Tarball).map_err(bad),
            ["docs", file] => ArtifactName::parse_docs(file).map(Self::Docs).map_err(bad),
            ["public_key"] => Ok(Self::PublicKey),
            ["installs" | "builds", ..] => {
                InstallsPath::parse(segments).map(Self::Installs).ok_or(RouteError::UnknownPath)
            }
            _ => Err(RouteError::UnknownPath),
        }
    }

    /// The path below a base URL, without a leading slash. It needs no escaping, because names contain no special
    /// characters.
    pub fn path(&self) -> String {
        match self {
            Self::Registry(resource) => resource.path(),
            Self::Tarball(name) => name.tarball_path(),
            Self::Docs(name) => name.docs_path(),
            Self::PublicKey => "public_key".to_owned(),
            Self::Installs(path) => path.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex::strategies;

    fn parse(path: &str) -> Result<Resource, RouteError> {
        Resource::parse(&path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn a_file_name_ends_its_package_at_the_first_hyphen() {
        let name = ArtifactName::parse_tarball("phoenix-1.8.0-rc.1.tar").unwrap();
        assert_eq!((name.package.as_str(), name.version.as_str()), ("phoenix", "1.8.0-rc.1"));
        assert_eq!(name.tarball_path(), "tarballs/phoenix-1.8.0-rc.1.tar");
        assert_eq!(ArtifactName::parse_docs("a-1.0.0.tar.gz").unwrap().docs_path(), "docs/a-1.0.0.tar.gz");
    }

    #[test]
    fn files_with_other_endings_are_refused() {
        for file in [
            "jason-1.4.4",
            "jason-1.4.4.tgz",
            "jason.tar",
            "-1.0.0.tar",
            "jason-.tar",
            ".tar",
            "",
            "jason-1.4.4.tar.gz",
        ] {
            assert!(ArtifactName::parse_tarball(file).is_err(), "{file:?}");
        }
        assert!(ArtifactName::parse_docs("jason-1.4.4.tar").is_err());
    }

    #[test]
    fn unknown_paths_and_bad_names_are_told_apart() {
        for path in
            ["", "package/jason", "packages", "packages/jason/x", "installs/hex.ez", "names/", "NAMES", "api/packages"]
        {
            assert_eq!(parse(path), Err(RouteError::UnknownPath), "{path:?}");
        }
        for path in [
            "packages/Jason",
            "packages/",
            "packages/..",
            "policies/..",
            "tarballs/x",
            "docs/x.tar.gz",
            "tarballs/a-1.0.tar",
        ] {
            assert!(matches!(parse(path), Err(RouteError::BadName(_))), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(resource in strategies::resource()) {
            prop_assert_eq!(parse(&resource.path()), Ok(resource));
        }

        #[test]
        fn writing_undoes_reading(path in "(names|versions|packages|policies|tarballs|docs)?/?[a-z0-9.+-]{0,12}(\\.tar)?(\\.gz)?") {
            if let Ok(resource) = parse(&path) {
                prop_assert_eq!(resource.path(), path);
            }
        }
    }
}
