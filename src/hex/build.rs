//! Payloads of a registry of our own, by the rules of hex.pm's builder.
//!
//! The same packages make the same bytes: everything is sorted, and what clients take for the absence of a thing is left
//! out. `names` and `versions` are put together from entries made before, so that one publish among many packages costs
//! a copy of the others.

use prost::Message as _;

use super::checksum::Sha256;
use super::message::{self, names, versions};
use super::wire::push_bytes;
use crate::choice::{Choice as _, choice};
use crate::clock::Timestamp;

choice! {
    /// Why a release is retired. Ordered as on the wire.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum RetirementReason {
        /// None of the others.
        Other = "other",
        /// It should not have been published.
        Invalid = "invalid",
        /// It is dangerous.
        Security = "security",
        /// It is out of use.
        Deprecated = "deprecated",
        /// It has another name now.
        Renamed = "renamed",
    }
}

impl RetirementReason {
    /// The value of a field `reason` of the registry; `None` for a number of later versions.
    pub fn from_wire(number: u64) -> Option<Self> {
        // They are listed in the order of their numbers.
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
    /// Over the parts of the tarball.
    pub inner: &'a Sha256,
    /// Over the whole tarball.
    pub outer: &'a Sha256,
    /// What it depends on, in any order.
    pub dependencies: Vec<DependencyEntry<'a>>,
    /// Whether it is retired, and what is said of it.
    pub retired: Option<(RetirementReason, Option<&'a str>)>,
    /// When it was published first.
    pub published_at: Timestamp,
}

/// A package that a release depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyEntry<'a> {
    /// The package.
    pub package: &'a str,
    /// Which versions.
    pub requirement: &'a str,
    /// Written only where it is true: some clients ask whether it is there, not what it says.
    pub optional: bool,
    /// The OTP application; left out where it is called as the package.
    pub app: &'a str,
    /// The name of the repository; `None`: the one that is written.
    pub repository: Option<&'a str>,
}

/// The payload of `packages/NAME`; `releases` ascending.
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

/// A package's entry in `versions`: its versions ascending, and the places of the retired ones.
pub fn versions_entry<'a>(name: &str, versions: impl IntoIterator<Item = &'a str>, retired: Vec<i32>) -> Vec<u8> {
    let versions = versions.into_iter().map(str::to_owned).collect();
    versions::Package { name: name.to_owned(), versions, retired, with_advisories: Vec::new() }.encode_to_vec()
}

/// The payload of `names` or `versions`: `entries` in the order of their names' bytes.
pub fn index<'a>(repository: &str, entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    index_of(repository, index_entries(entries))
}

/// The part of the payload of `names` or `versions` that is about these packages. Parts that follow each other are one.
pub fn index_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    const PACKAGES: u32 = 1;
    let mut payload = Vec::new();
    for entry in entries {
        push_bytes(&mut payload, PACKAGES, entry);
    }
    payload
}

/// The payload of `names` or `versions`, of all its parts.
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

    /// What hex.pm's own encoder makes of the same packages.
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
        // Own dependencies have no repository, and nothing sorts before something.
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
