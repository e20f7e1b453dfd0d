//! What the releases of a package depend on. May import `hex`.

use super::{SchemaError, within};
use crate::hex::wire::Fields;

/// A dependency of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The package.
    pub package: Box<str>,
    /// Which versions of it.
    pub requirement: Box<str>,
    /// Whether it is used only where somebody else wants it, too.
    pub optional: bool,
    /// The repository that it is in; `None`: the package's own.
    pub repository: Option<Box<str>>,
}

/// A version, and what that release depends on.
pub type DependencyList = (Box<str>, Vec<Dependency>);

/// The releases of a payload of `packages/NAME` with what each depends on.
pub fn dependencies(payload: &[u8]) -> Result<Vec<DependencyList>, SchemaError> {
    const RELEASES: u32 = 1;
    const VERSION: u32 = 1;
    const DEPENDENCIES: u32 = 3;
    let wire = within("Release");
    let mut releases = Vec::new();
    for field in Fields::new(payload) {
        let field = field.map_err(within("Package"))?;
        if field.number != RELEASES {
            continue;
        }
        let (mut version, mut all) = (Box::from(""), Vec::new());
        for field in Fields::new(field.bytes().map_err(within("Package"))?) {
            let field = field.map_err(wire)?;
            match field.number {
                VERSION => version = field.text().map_err(wire)?.into(),
                DEPENDENCIES => all.push(dependency(field.bytes().map_err(wire)?)?),
                _ => {}
            }
        }
        releases.push((version, all));
    }
    Ok(releases)
}

fn dependency(message: &[u8]) -> Result<Dependency, SchemaError> {
    const PACKAGE: u32 = 1;
    const REQUIREMENT: u32 = 2;
    const OPTIONAL: u32 = 3;
    const REPOSITORY: u32 = 5;
    let wire = within("Dependency");
    let mut read = Dependency { package: "".into(), requirement: "".into(), optional: false, repository: None };
    for field in Fields::new(message) {
        let field = field.map_err(wire)?;
        match field.number {
            PACKAGE => read.package = field.text().map_err(wire)?.into(),
            REQUIREMENT => read.requirement = field.text().map_err(wire)?.into(),
            OPTIONAL => read.optional = field.varint().map_err(wire)? != 0,
            REPOSITORY => read.repository = Some(field.text().map_err(wire)?.into()),
            _ => {}
        }
    }
    Ok(read)
}
