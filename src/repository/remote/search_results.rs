//! Removes releases held by policy from search results, according to the signed list of versions.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use serde_json::Value;

use super::answers::{FoundName, UpstreamAnswer, read, with_versions};
use crate::cache::SharedCaches;
use crate::cache::payload::Payload;
use crate::hex::message;
use crate::hex::version;
use crate::repository::RepoError;

/// The versions of each package, newest first.
pub(in crate::repository) type VersionsByName = HashMap<String, Vec<String>>;

/// The packages and versions in `versions`.
pub(in crate::repository) async fn listed(
    shared: &SharedCaches,
    versions: Payload,
) -> Result<VersionsByName, RepoError> {
    let listed = read(shared, versions, |payload| {
        let packages = message::Versions::decode(payload).ok()?.packages.into_iter();
        let packages = packages.map(|mut package| {
            package.versions.sort_by_cached_key(|text| std::cmp::Reverse(version::order(text)));
            (package.name, package.versions)
        });
        Some(packages.collect())
    });
    listed.await
}

/// Removes the packages and versions that are not listed.
pub(in crate::repository) fn only_listed(
    told: UpstreamAnswer<Vec<FoundName>>,
    listed: &VersionsByName,
) -> UpstreamAnswer<Vec<FoundName>> {
    match told {
        UpstreamAnswer::Registry(found) => {
            let of = |found: FoundName| {
                let shown = listed.get(&found.name)?;
                let versions = found.versions.into_iter().filter(|version| shown.contains(version)).collect();
                Some(FoundName { versions, ..found })
            };
            UpstreamAnswer::Registry(found.into_iter().filter_map(of).collect())
        }
        UpstreamAnswer::Api(value) => {
            let packages = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
            let of = |package: &Value| {
                let versions = listed.get(package.get("name").and_then(Value::as_str)?)?;
                let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
                Some(with_versions(package, &versions))
            };
            UpstreamAnswer::Api(Arc::new(packages.filter_map(of).collect()))
        }
    }
}
