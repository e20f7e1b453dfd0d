//! JSON of a package, from whichever source describes it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{PackageRepository, configs, meta, retirement, time, upstreams, with, with_some};
use crate::api::urls::Urls;
use crate::hex::version::ReleaseVersion;
use crate::repository::describe::{FoundName, PackageContent};
use crate::repository::local::{Package, Release, ReleaseMetadata};
use crate::repository::remote::DescribedPackage;
use crate::repository::{PackageView, Repository};

/// A package as the repository `asked` shows it; `None` if no URL leads to it. `owners` are the owners of a package in
/// a local repository, given if only this package is shown.
pub(in crate::api) fn package(
    places: Urls<'_>,
    asked: &Repository,
    view: PackageView,
    owners: Option<Vec<Value>>,
) -> Option<Value> {
    let (home, content) = view.into_parts();
    let shelf = PackageRepository::of(places, asked, &home)?;
    Some(match content {
        PackageContent::Local(package) => {
            let value = local(&shelf, &package);
            match owners {
                Some(owners) => with(with(value, "owners", owners), "security_advisories", Vec::<Value>::new()),
                None => value,
            }
        }
        PackageContent::Upstream(value) => upstreams::package(places, &shelf, Arc::unwrap_or_clone(value)),
        PackageContent::Index(package) => index(&shelf, &package),
        PackageContent::Listed(found) => listed(&shelf, &found),
    })
}

/// Whether a version is a stable release (not a pre-release).
fn is_stable(version: &str) -> bool {
    version.parse::<ReleaseVersion>().is_ok_and(|version| !version.is_pre_release())
}

/// A package from a local repository.
fn local(shelf: &PackageRepository<'_>, package: &Package) -> Value {
    let (shop, name) = (&shelf.shop, package.name.as_str());
    let newest = package.releases.first();
    let stable = package.releases.iter().find(|release| is_stable(&release.listed.version));
    let shown = stable.or(newest);
    let releases: Vec<Value> = package
        .releases
        .iter()
        .map(|release| {
            let version = release.listed.version.as_str();
            json!({
                "version": version,
                "url": shop.release(name, version),
                "has_docs": release.listed.docs.is_some(),
                "inserted_at": time(release.listed.inserted_at),
            })
        })
        .collect();
    let retired = package.releases.iter().filter(|release| release.listed.retirement.is_some());
    let retirements: Map<String, Value> = retired
        .map(|release| (release.listed.version.clone(), retirement(release.listed.retirement.as_ref())))
        .collect();
    let with_docs = package.releases.iter().find(|release| release.listed.docs.is_some());
    json!({
        "name": name,
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "docs_html_url": with_docs.and_then(|release| shop.docs(name, &release.listed.version)),
        "inserted_at": time(package.inserted_at),
        "updated_at": time(package.updated_at),
        "latest_version": newest.map(|release| release.listed.version.as_str()),
        "latest_stable_version": stable.map(|release| release.listed.version.as_str()),
        "configs": configs(shelf.source, name, shown.map(version_and_app)),
        "meta": shown.map_or_else(|| meta(&ReleaseMetadata::default()), |release| meta(&release.about)),
        "releases": releases,
        "retirements": retirements,
        // Downloads are not counted here, but clients expect the map.
        "downloads": {},
    })
}

/// A package from its signed index.
fn index(shelf: &PackageRepository<'_>, package: &DescribedPackage) -> Value {
    let (shop, name) = (&shelf.shop, package.name.as_str());
    let versions = || package.releases.iter().map(|release| release.version.as_str());
    let (latest, latest_stable) = (versions().next(), versions().find(|version| is_stable(version)));
    let app = package.about.as_ref().map(|about| about.app.as_str()).filter(|app| !app.is_empty()).unwrap_or(name);
    let releases: Vec<Value> = package
        .releases
        .iter()
        .map(|release| {
            // The index does not say whether documentation exists; a client that requests the file finds out.
            let value =
                json!({"version": release.version, "url": shop.release(name, &release.version), "has_docs": false});
            with_some(value, "inserted_at", release.published_at.map(time))
        })
        .collect();
    let retired = package.releases.iter().filter(|release| release.retirement.is_some());
    let retirements: Map<String, Value> =
        retired.map(|release| (release.version.clone(), retirement(release.retirement.as_ref()))).collect();
    let times = || package.releases.iter().filter_map(|release| release.published_at);
    let value = json!({
        "name": name,
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "docs_html_url": null,
        "latest_version": latest,
        "latest_stable_version": latest_stable,
        "configs": configs(shelf.source, name, latest_stable.or(latest).map(|version| (version, app))),
        "meta": meta(package.about.as_ref().unwrap_or(&ReleaseMetadata::default())),
        "releases": releases,
        "retirements": retirements,
        "downloads": {},
        "owners": [],
        "security_advisories": [],
    });
    let (first, last) = (times().min().map(time), times().max().map(time));
    with_some(with_some(value, "inserted_at", first), "updated_at", last)
}

/// A package from the signed list of versions.
fn listed(shelf: &PackageRepository<'_>, found: &FoundName) -> Value {
    let (shop, name) = (&shelf.shop, found.name.as_str());
    let versions = || found.versions.iter().map(String::as_str);
    let (latest, latest_stable) = (versions().next(), versions().find(|version| is_stable(version)));
    let releases: Vec<Value> = found
        .versions
        .iter()
        .map(|version| json!({"version": version, "url": shop.release(name, version), "has_docs": false}))
        .collect();
    json!({
        "name": name,
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "latest_version": latest,
        "latest_stable_version": latest_stable,
        "configs": configs(shelf.source, name, latest_stable.or(latest).map(|version| (version, name))),
        "meta": meta(&ReleaseMetadata::default()),
        "releases": releases,
        "retirements": {},
        "downloads": {},
    })
}

/// The version of a release and its application.
pub(super) fn version_and_app(release: &Release) -> (&str, &str) {
    (release.listed.version.as_str(), release.about.app.as_str())
}
