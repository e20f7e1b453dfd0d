//! Answers of an upstream's API with its URLs replaced by this server's: clients may not be able to reach the upstream.
//! Pure.

use serde_json::{Map, Value};

use super::PackageRepository;
use crate::api::urls::{RepositoryUrls, Urls};

fn text<'v>(map: &'v Map<String, Value>, field: &str) -> Option<&'v str> {
    map.get(field).and_then(Value::as_str)
}

/// Replaces a URL; a missing field is not added.
fn set(map: &mut Map<String, Value>, field: &str, url: Option<String>) {
    if let Some(value) = map.get_mut(field) {
        *value = url.map_or(Value::Null, Value::String);
    }
}

/// The application in the upstream's `mix.exs` line: `{:app, "~> 1.0", hex: :package}`.
fn app(map: &Map<String, Value>) -> Option<&str> {
    let line = map.get("configs")?.get("mix.exs")?.as_str()?;
    line.strip_prefix("{:")?.split(',').next()
}

/// The dependency lines to copy, with the name that clients use for the repository here.
fn set_configs(map: &mut Map<String, Value>, shelf: &PackageRepository<'_>, name: &str, version: Option<String>) {
    if map.contains_key("configs") {
        let app = app(map).unwrap_or(name).to_owned();
        let release = version.as_deref().map(|version| (version, app.as_str()));
        map.insert("configs".to_owned(), super::configs(shelf.source, name, release));
    }
}

/// A package.
pub(super) fn package(places: Urls<'_>, shelf: &PackageRepository<'_>, mut value: Value) -> Value {
    let Value::Object(map) = &mut value else { return value };
    let Some(name) = text(map, "name").map(str::to_owned) else { return value };
    let shop = &shelf.shop;
    let mut with_docs = None;
    if let Some(Value::Array(releases)) = map.get_mut("releases") {
        for release in releases.iter_mut().filter_map(Value::as_object_mut) {
            let version = set_release(places, shelf, &name, release);
            if with_docs.is_none() && has_docs(release) {
                with_docs = version;
            }
        }
    }
    for field in ["url", "html_url"] {
        set(map, field, Some(shop.package(&name)));
    }
    set(map, "docs_html_url", with_docs.and_then(|version| shop.docs(&name, &version)));
    let version = text(map, "latest_stable_version").or_else(|| text(map, "latest_version")).map(str::to_owned);
    set_configs(map, shelf, &name, version);
    if map.contains_key("repository") {
        map.insert("repository".to_owned(), Value::from(shelf.name));
    }
    // Clients that print a table expect a string.
    if let Some(description) = map.get_mut("meta").and_then(|meta| meta.get_mut("description"))
        && description.is_null()
    {
        *description = Value::from("");
    }
    if let Some(Value::Array(owners)) = map.get_mut("owners") {
        owners.iter_mut().for_each(|owner| set_user(places, owner, None));
    }
    value
}

/// A release of the package `name`.
pub(super) fn release(places: Urls<'_>, shelf: &PackageRepository<'_>, name: &str, mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        set_release(places, shelf, name, map);
    }
    value
}

fn has_docs(release: &Map<String, Value>) -> bool {
    release.get("has_docs") == Some(&Value::Bool(true))
}

/// Replaces the URLs of a release or of an entry in a package's list of releases; returns its version.
fn set_release(
    places: Urls<'_>,
    shelf: &PackageRepository<'_>,
    name: &str,
    map: &mut Map<String, Value>,
) -> Option<String> {
    let version = text(map, "version").map(str::to_owned)?;
    let shop = &shelf.shop;
    for field in ["url", "html_url"] {
        set(map, field, Some(shop.release(name, &version)));
    }
    set(map, "package_url", Some(shop.package(name)));
    let docs = shop.docs(name, &version).filter(|_| has_docs(map));
    set(map, "docs_html_url", docs);
    set_configs(map, shelf, name, Some(version.clone()));
    if let Some(publisher) = map.get_mut("publisher") {
        set_user(places, publisher, None);
    }
    Some(version)
}

/// A user; `shop` contains the URLs of the user's packages here. Without it, no packages are included.
pub(in crate::api) fn user(places: Urls<'_>, value: &Value, shop: Option<&RepositoryUrls>) -> Value {
    let mut value = value.clone();
    set_user(places, &mut value, shop);
    value
}

fn set_user(places: Urls<'_>, value: &mut Value, shop: Option<&RepositoryUrls>) {
    let Value::Object(map) = value else { return };
    if let Some(name) = text(map, "username").map(str::to_owned) {
        set(map, "url", Some(places.user(&name)));
    }
    if let Some(Value::Array(packages)) = map.get_mut("packages") {
        packages.retain_mut(|package| {
            let Value::Object(package) = package else { return false };
            let Some(url) = shop.zip(text(package, "name")).map(|(shop, name)| shop.package(name)) else {
                return false;
            };
            for field in ["url", "html_url"] {
                set(package, field, Some(url.clone()));
            }
            true
        });
    }
    if let Some(Value::Object(packages)) = map.get_mut("owned_packages") {
        let url = |name: String| Some((name.clone(), Value::String(shop?.package(&name))));
        *packages = std::mem::take(packages).into_iter().filter_map(|(name, _)| url(name)).collect();
    }
}
