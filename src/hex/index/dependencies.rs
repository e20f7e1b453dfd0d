//! Reads the dependencies of the releases of a package.

use super::{SchemaError, each_field};

/// A dependency of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The package.
    pub package: Box<str>,
    /// The version requirement.
    pub requirement: Box<str>,
    /// Whether it is optional: used only if another package requires it.
    pub optional: bool,
    /// The repository of the dependency; `None`: the same as that of the package.
    pub repository: Option<Box<str>>,
}

/// A version and the dependencies of that release.
pub type DependencyList = (Box<str>, Vec<Dependency>);

/// The releases in a payload of `packages/NAME`, each with its dependencies.
pub fn dependencies(payload: &[u8]) -> Result<Vec<DependencyList>, SchemaError> {
    const RELEASES: u32 = 1;
    const VERSION: u32 = 1;
    const DEPENDENCIES: u32 = 3;
    let mut releases = Vec::new();
    each_field("Package", payload, |field| {
        if field.number != RELEASES {
            return Ok(());
        }
        let (mut version, mut all) = (Box::from(""), Vec::new());
        each_field("Release", field.bytes()?, |field| {
            match field.number {
                VERSION => version = field.text()?.into(),
                DEPENDENCIES => all.push(dependency(field.bytes()?)?),
                _ => {}
            }
            Ok(())
        })?;
        releases.push((version, all));
        Ok(())
    })?;
    Ok(releases)
}

fn dependency(message: &[u8]) -> Result<Dependency, SchemaError> {
    const PACKAGE: u32 = 1;
    const REQUIREMENT: u32 = 2;
    const OPTIONAL: u32 = 3;
    const REPOSITORY: u32 = 5;
    let mut read = Dependency { package: "".into(), requirement: "".into(), optional: false, repository: None };
    each_field("Dependency", message, |field| {
        match field.number {
            PACKAGE => read.package = field.text()?.into(),
            REQUIREMENT => read.requirement = field.text()?.into(),
            OPTIONAL => read.optional = field.varint()? != 0,
            REPOSITORY => read.repository = Some(field.text()?.into()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}
