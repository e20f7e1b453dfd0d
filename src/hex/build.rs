//! Builds the payloads of local repositories, by the rules of hex.pm's registry builder.
//!
//! The same packages give the same bytes: everything is sorted, and default values are left out. `names` and `versions`
//! are assembled from prebuilt entries, so publishing one of many packages only copies the entries of the others.

use prost::Message as _;

use super::checksum::Sha256;
use super::message::{self, names, versions};
use super::wire::push_bytes;
use crate::choice::{Choice as _, choice};
use crate::clock::Timestamp;

choice! {
    /// The reason why a release is retired, in the order of the numbers in the wire format.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum RetirementReason {
        /// Another reason.
        Other = "other",
        /// It should not have been published.
        Invalid = "invalid",
        /// It has a security problem.
        Security = "security",
        /// It is deprecated.
        Deprecated = "deprecated",
        /// The package was renamed.
        Renamed = "renamed",
    }
}

impl RetirementReason {
    /// Converts the number in a `reason` field of the registry; `None` for an unknown number.
    pub fn from_wire(number: u64) -> Option<Self> {
        // `ALL` lists the variants in the order of their numbers.
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    pub(crate) fn on_the_wire(self) -> message::RetirementReason {
        match self {
            Self::Other => message::RetirementReason::Other,
            Self::Invalid => message::RetirementReason::Invalid,
            Self::Security => message::RetirementReason::Security,
            Self::Deprecated => message::RetirementReason::Deprecated,
            Self::Renamed => message::RetirementReason::Renamed,
        }
    }
}

/// A release to be written into `packages/NAME`.
#[derive(Clone, Debug)]
pub struct ReleaseEntry<'a> {
    /// The version.
    pub version: &'a str,
    /// The inner checksum: over the parts of the tarball.
    pub inner: &'a Sha256,
    /// The outer checksum: over the whole tarball.
    pub outer: &'a Sha256,
    /// The dependencies, in any order.
    pub dependencies: Vec<DependencyEntry<'a>>,
    /// The reason and the message of its retirement, if it is retired.
    pub retired: Option<(RetirementReason, Option<&'a str>)>,
    /// When it was first published.
    pub published_at: Timestamp,
}

/// A package that a release depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyEntry<'a> {
    /// The package.
    pub package: &'a str,
    /// The version requirement.
    pub requirement: &'a str,
    /// Whether it is optional. Written only if `true`, because some clients check whether the field exists, not its
    /// value.
    pub optional: bool,
    /// The OTP application; left out if it has the name of the package.
    pub app: &'a str,
    /// The name of the repository; `None`: the repository of this payload.
    pub repository: Option<&'a str>,
}

/// The payload of `packages/NAME`. `releases` must be in ascending order.
pub fn package(repository: &str, name: &str, releases: &[ReleaseEntry<'_>]) -> Vec<u8> {
    let releases = releases.iter().map(release).collect();
    let (name, repository) = (name.to_owned(), repository.to_owned());
    message::Package { releases, name, repository, advisories: Vec::new() }.encode_to_vec()
}

fn release(entry: &ReleaseEntry<'_>) -> message::Release {
    let mut dependencies = entry.dependencies.clone();
    dependencies.sort_by(|a, b| {
        let key = |entry: &DependencyEntry<'_>| (entry.repository.map(str::to_owned), entry.package.to_owned());
        key(a).cmp(&key(b)).then_with(|| (a.requirement, a.optional, a.app).cmp(&(b.requirement, b.optional, b.app)))
    });
    message::Release {
        version: entry.version.to_owned(),
        inner_checksum: entry.inner.as_bytes().to_vec(),
        dependencies: dependencies.iter().map(dependency).collect(),
        retired: entry.retired.map(|(reason, message)| message::RetirementStatus {
            reason: reason.on_the_wire().into(),
            message: message.map(str::to_owned),
        }),
        outer_checksum: Some(entry.outer.as_bytes().to_vec()),
        advisory_indexes: Vec::new(),
        published_at: Some(timestamp(entry.published_at)),
    }
}

fn dependency(entry: &DependencyEntry<'_>) -> message::Dependency {
    message::Dependency {
        package: entry.package.to_owned(),
        requirement: entry.requirement.to_owned(),
        optional: entry.optional.then_some(true),
        app: (entry.app != entry.package).then(|| entry.app.to_owned()),
        repository: entry.repository.map(str::to_owned),
    }
}

fn timestamp(time: Timestamp) -> message::Timestamp {
    let millis = time.as_millis();
    message::Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or_default(),
    }
}

/// A package's entry in `names`.
pub fn names_entry(name: &str, updated_at: Timestamp) -> Vec<u8> {
    names::Package { name: name.to_owned(), updated_at: Some(timestamp(updated_at)) }.encode_to_vec()
}

/// A package's entry in `versions`: its versions in ascending order, and the positions of the retired ones.
pub fn versions_entry<'a>(name: &str, versions: impl IntoIterator<Item = &'a str>, retired: Vec<i32>) -> Vec<u8> {
    let versions = versions.into_iter().map(str::to_owned).collect();
    versions::Package { name: name.to_owned(), versions, retired, with_advisories: Vec::new() }.encode_to_vec()
}

/// The payload of `names` or `versions`. `entries` must be sorted by the bytes of their names.
pub fn index<'a>(repository: &str, entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    index_of(repository, index_entries(entries))
}

/// The part of a payload of `names` or `versions` with these packages. Concatenated parts are a part again.
pub fn index_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    const PACKAGES: u32 = 1;
    let mut payload = Vec::new();
    for entry in entries {
        push_bytes(&mut payload, PACKAGES, entry);
    }
    payload
}

/// The payload of `names` or `versions`, from its concatenated parts.
pub fn index_of(repository: &str, mut entries: Vec<u8>) -> Vec<u8> {
    const REPOSITORY: u32 = 2;
    push_bytes(&mut entries, REPOSITORY, repository.as_bytes());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::index::Index;
    use crate::hex::resource::RegistryResource;

    const AT: u64 = 1_700_000_000;

    /// The output of hex.pm's own encoder for the same packages.
    #[test]
    fn indexes_are_hex_pms_bytes() {
        assert_eq!(hex::encode(index("acme", [])), "120461636d65");
        let names = names_entry("foo", Timestamp::from_millis(AT * 1000 + 123));
        assert_eq!(hex::encode(index("acme", [&names[..]])), "0a120a03666f6f1a0b0880e2cfaa0610c0a9d33a120461636d65");
        let versions = versions_entry("foo", ["1.0.0", "1.1.0"], vec![1]);
        assert_eq!(
            hex::encode(index("acme", [&versions[..]])),
            "0a160a03666f6f1205312e302e301205312e312e301a0101120461636d65"
        );
    }

    fn entry<'a>(inner: &'a Sha256, outer: &'a Sha256, dependencies: Vec<DependencyEntry<'a>>) -> ReleaseEntry<'a> {
        let retired = Some((RetirementReason::Other, None));
        ReleaseEntry { version: "1.0.0", inner, outer, dependencies, retired, published_at: Timestamp::from_secs(AT) }
    }

    #[test]
    fn a_package_says_what_there_is_and_nothing_else() {
        let (inner, outer) = (Sha256::of(b"inner"), Sha256::of(b"outer"));
        let own = DependencyEntry {
            package: "zoo",
            requirement: ">= 0.0.0",
            optional: true,
            app: "zoo_app",
            repository: None,
        };
        let bar = DependencyEntry {
            package: "bar",
            requirement: "~> 1.0",
            optional: false,
            app: "bar",
            repository: Some("hexpm"),
        };
        let payload = package("acme", "foo", &[entry(&inner, &outer, vec![bar, own])]);
        let mut expected = String::from("0a05312e302e301220");
        expected += &inner.to_string();
        // Dependencies in the same repository have no repository field, and sort before those that have one.
        expected += "1a1a0a037a6f6f12083e3d20302e302e3018012207";
        expected += &hex::encode("zoo_app");
        expected += "1a140a0362617212067e3e20312e302a05686578706d";
        expected += "220208002a20";
        expected += &outer.to_string();
        expected += "3a080880e2cfaa061000";
        let release = hex::decode(&expected).unwrap();
        let mut whole = Vec::new();
        push_bytes(&mut whole, 1, &release);
        push_bytes(&mut whole, 2, b"foo");
        push_bytes(&mut whole, 3, b"acme");
        assert_eq!(hex::encode(&payload), hex::encode(&whole));
        let resource = RegistryResource::Package("foo".parse().unwrap());
        let index = Index::decode(&resource, &payload).unwrap();
        let release = &index.as_package().unwrap().releases[0];
        assert_eq!((release.inner, release.outer), (Some(inner), Some(outer)));
        assert_eq!(release.published_at, Some(Timestamp::from_secs(AT)));
    }

    #[test]
    fn the_order_in_which_dependencies_come_does_not_count() {
        let (inner, outer) = (Sha256::of(b"inner"), Sha256::of(b"outer"));
        let dependency = |package| DependencyEntry {
            package,
            requirement: "~> 1.0",
            optional: false,
            app: package,
            repository: None,
        };
        let (a, b) = (dependency("a"), dependency("b"));
        let one = package("acme", "foo", &[entry(&inner, &outer, vec![a, b])]);
        assert_eq!(one, package("acme", "foo", &[entry(&inner, &outer, vec![b, a])]));
    }
}
