//! Values for property tests of this crate. May import `hex`.

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::name::{PackageName, PolicyName, RepoName};
use super::resource::{ArtifactName, RegistryResource, Resource};
use super::version::ReleaseVersion;

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

/// Any resource.
pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        registry_resource().prop_map(Resource::Registry),
        artifact_name().prop_map(Resource::Tarball),
        artifact_name().prop_map(Resource::Docs),
        Just(Resource::PublicKey),
        Just(Resource::HexInstalls),
    ]
}
