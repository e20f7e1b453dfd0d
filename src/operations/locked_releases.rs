//! The releases in lock files, as a part of commands.
//!
//! A command may contain tens of thousands of releases. They are stored in one string, so that they take no more memory
//! than the body of the request.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// The character that ends each field of each release.
const END: char = '\n';

/// A release of a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LockFileRelease<'a> {
    /// Name of the repository in the lock file.
    pub repository: Option<&'a str>,
    /// Package name.
    pub package: &'a str,
    /// Version.
    pub version: &'a str,
    /// SHA-256 of the parts of the tarball (inner checksum), in hexadecimal.
    pub inner: Option<&'a str>,
    /// SHA-256 of the whole tarball (outer checksum), in hexadecimal.
    pub outer: Option<&'a str>,
}

impl<'a> LockFileRelease<'a> {
    /// The checksum that identifies the release in a pin: the outer checksum if it is known.
    pub fn checksum(&self) -> Option<&'a str> {
        self.outer.or(self.inner)
    }
}

/// Releases of lock files, in their order. As JSON, a list of objects with the fields of [`LockFileRelease`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedReleases {
    /// Five fields for each release; an empty field means a missing value.
    text: String,
}

/// A release with an invalid field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release in a lock file contains a control character")]
pub struct ControlCharacter;

impl LockedReleases {
    /// Adds a release at the end.
    pub fn push(&mut self, release: LockFileRelease<'_>) -> Result<(), ControlCharacter> {
        let LockFileRelease { repository, package, version, inner, outer } = release;
        let fields = [repository, Some(package), Some(version), inner, outer].map(Option::unwrap_or_default);
        if fields.iter().any(|field| field.contains(char::is_control)) {
            return Err(ControlCharacter);
        }
        for field in fields {
            self.text.push_str(field);
            self.text.push(END);
        }
        Ok(())
    }

    /// All releases, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { fields: self.text.split_terminator(END) }
    }
}

/// Iterator over releases.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    fields: std::str::SplitTerminator<'a, char>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = LockFileRelease<'a>;

    fn next(&mut self) -> Option<LockFileRelease<'a>> {
        let mut field = || self.fields.next();
        let (repository, package, version, inner, outer) = (field()?, field()?, field()?, field()?, field()?);
        let present = |field: &'a str| (!field.is_empty()).then_some(field);
        Some(LockFileRelease {
            repository: present(repository),
            package,
            version,
            inner: present(inner),
            outer: present(outer),
        })
    }
}

impl<'a> IntoIterator for &'a LockedReleases {
    type Item = LockFileRelease<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Serialize for LockedReleases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for LockedReleases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OneByOne)
    }
}

struct OneByOne;

/// A release in JSON.
#[derive(serde::Deserialize)]
struct Fields {
    repository: Option<String>,
    package: String,
    version: String,
    inner: Option<String>,
    outer: Option<String>,
}

impl<'de> Visitor<'de> for OneByOne {
    type Value = LockedReleases;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of releases")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LockedReleases, A::Error> {
        let mut releases = LockedReleases::default();
        while let Some(Fields { repository, package, version, inner, outer }) = items.next_element()? {
            let release = LockFileRelease {
                repository: repository.as_deref(),
                package: &package,
                version: &version,
                inner: inner.as_deref(),
                outer: outer.as_deref(),
            };
            releases.push(release).map_err(A::Error::custom)?;
        }
        Ok(releases)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_come_back_as_they_were_written() {
        let whole = json!({"repository": "hexpm", "package": "a", "version": "1.0.0", "inner": "ab", "outer": "cd"});
        let bare = json!({"repository": null, "package": "b", "version": "", "inner": null, "outer": null});
        let value = json!([whole, bare, whole]);
        let releases: LockedReleases = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&releases).unwrap(), value);
        let checksums: Vec<_> = releases.iter().map(|one| one.checksum()).collect();
        assert_eq!(checksums, [Some("cd"), None, Some("cd")]);
        let short: LockedReleases = serde_json::from_value(json!([{"package": "b", "version": ""}])).unwrap();
        assert_eq!(short.iter().collect::<Vec<_>>(), releases.iter().skip(1).take(1).collect::<Vec<_>>());
        assert_eq!(LockedReleases::default().iter().next(), None);
    }

    #[test]
    fn no_field_is_taken_for_two() {
        let value = json!([{"package": "a\nb", "version": "1"}]);
        let refused = serde_json::from_value::<LockedReleases>(value).unwrap_err();
        assert!(refused.to_string().contains("control character"), "{refused}");
        assert!(serde_json::from_value::<LockedReleases>(json!([{"package": "a"}])).is_err());
    }
}
