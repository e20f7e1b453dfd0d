//! The versions that public members cannot provide, because a private member has them with other build metadata.

use std::collections::HashMap;

use crate::hex::version;

/// The versions of private parts without their build metadata, and the first part that has each.
#[derive(Debug, Default)]
pub struct PrivateVersions<'a>(HashMap<&'a str, usize>);

impl<'a> PrivateVersions<'a> {
    /// Adds the versions of a private part.
    pub fn add(&mut self, part: usize, versions: impl IntoIterator<Item = &'a str>) {
        for version in versions {
            self.0.entry(version::without_build(version)).or_insert(part);
        }
    }

    /// The private part that has a version, without regard to build metadata.
    pub fn owner(&self, version: &str) -> Option<usize> {
        if self.0.is_empty() { None } else { self.0.get(version::without_build(version)).copied() }
    }
}
