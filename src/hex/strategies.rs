//! Random values for the property tests of this crate.

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::installs::InstallsPath;
use super::name::{PackageName, PolicyName, RepoName};
use super::resource::{ArtifactName, RegistryResource, Resource};
use super::version::ReleaseVersion;
use super::wire::{push_bytes, push_varint};

/// Any package name of a common length.
pub(crate) fn package_name() -> impl Strategy<Value = PackageName> {
    "[a-z][a-z0-9_]{0,24}".prop_map(|name| name.parse().expect("a package name"))
}

/// Any repository name.
pub(crate) fn repo_name() -> impl Strategy<Value = RepoName> {
    "[a-z0-9][a-z0-9_-]{1,63}".prop_map(|name| name.parse().expect("a repository name"))
}

/// Any policy name.
pub(crate) fn policy_name() -> impl Strategy<Value = PolicyName> {
    "[a-z0-9_.-]{2,63}[a-z0-9_-]".prop_map(|name| name.parse().expect("a policy name"))
}

/// Any text of a version, pre-releases and build numbers included.
pub(crate) fn version_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![4 => 0_u64..20, 1 => any::<u64>()];
    let identifier = prop_oneof!["0", "[1-9][0-9]{0,24}", "[0-9]{0,3}[a-zA-Z-][0-9a-zA-Z-]{0,5}"];
    let pre = prop::option::of(prop::collection::vec(identifier, 1..4));
    let build = prop::option::weighted(0.2, "[0-9a-zA-Z-]{1,6}(\\.[0-9a-zA-Z-]{1,6})?");
    (number.clone(), number.clone(), number, pre, build).prop_map(|(major, minor, patch, pre, build)| {
        let mut text = format!("{major}.{minor}.{patch}");
        if let Some(pre) = pre {
            text.push('-');
            text.push_str(&pre.join("."));
        }
        if let Some(build) = build {
            text.push('+');
            text.push_str(&build);
        }
        text
    })
}

/// Any version.
pub(crate) fn version() -> impl Strategy<Value = ReleaseVersion> {
    version_text().prop_map(|text| text.parse().expect("a version"))
}

/// Any release.
pub(crate) fn artifact_name() -> impl Strategy<Value = ArtifactName> {
    (package_name(), version()).prop_map(|(package, version)| ArtifactName { package, version })
}

/// Any signed resource.
pub(crate) fn registry_resource() -> impl Strategy<Value = RegistryResource> {
    prop_oneof![
        Just(RegistryResource::Names),
        Just(RegistryResource::Versions),
        package_name().prop_map(RegistryResource::Package),
        policy_name().prop_map(RegistryResource::Policy),
    ]
}

/// Any path below `installs` and `builds`.
pub(crate) fn installs_path() -> impl Strategy<Value = InstallsPath> {
    prop_oneof![
        "installs/(hex|rebar3|rebar)-1\\.x\\.csv(\\.signed)?",
        "installs/1\\.[0-9]{1,2}\\.0/hex(-[0-9]\\.[0-9]\\.[0-9](-otp-2[0-9])?)?\\.ez",
        "builds/otp/((amd64|arm64)/)?ubuntu-2[0-9]\\.04/(builds\\.txt|OTP-2[0-9]\\.[0-9]\\.tar\\.gz)",
        "builds/elixir/v1\\.[0-9]{1,2}\\.0(-otp-2[0-9])?\\.zip",
    ]
    .prop_map(|path| {
        let segments: Vec<&str> = path.split('/').collect();
        InstallsPath::parse(&segments).unwrap_or_else(|| panic!("{path}"))
    })
}

/// Any resource.
pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        registry_resource().prop_map(Resource::Registry),
        artifact_name().prop_map(Resource::Tarball),
        artifact_name().prop_map(Resource::Docs),
        Just(Resource::PublicKey),
        installs_path().prop_map(Resource::Installs),
    ]
}

/// A record of a field that no schema has, of any wire type.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![Just(1000_u64), 20_u64..40, Just((1 << 29) - 1)];
    (number, any::<u64>(), prop::collection::vec(any::<u8>(), 0..6), 0..4).prop_map(|(number, value, bytes, kind)| {
        let mut record = Vec::new();
        let mut tag = |wire_type: u64| push_varint(&mut record, (number << 3) | wire_type);
        match kind {
            0 => {
                tag(0);
                push_varint(&mut record, value);
            }
            1 => {
                tag(1);
                record.extend(value.to_le_bytes());
            }
            2 => {
                tag(5);
                record.extend(&value.to_le_bytes()[..4]);
            }
            _ => push_bytes(&mut record, u32::try_from(number).expect("a small number"), &bytes),
        }
        record
    })
}

/// A message of `records` in their order, mixed with unknown records at any place.
pub(crate) fn mixed(records: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let places = records.len() + 1;
    prop::collection::vec((0..places, unknown()), 0..4).prop_map(move |mut strangers| {
        strangers.sort_by_key(|(place, _)| *place);
        let mut strangers = strangers.into_iter().peekable();
        let mut message = Vec::new();
        for (place, record) in records.iter().enumerate() {
            while let Some((_, stranger)) = strangers.next_if(|(before, _)| *before <= place) {
                message.extend(stranger);
            }
            message.extend(record);
        }
        message.extend(strangers.flat_map(|(_, stranger)| stranger));
        message
    })
}

/// A record of wire type 2.
pub(crate) fn record(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    push_bytes(&mut record, number, bytes);
    record
}
