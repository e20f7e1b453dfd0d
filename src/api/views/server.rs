//! JSON of the API's index and of repositories.

use serde_json::{Value, json};

use crate::api::urls::Urls;
use crate::repository::Repository;

/// The URLs of the API.
pub(in crate::api) fn index(places: Urls<'_>) -> Value {
    let at = |path: &str| places.api(path);
    json!({
        "packages_url": at("packages"),
        "package_url": at("packages/{name}"),
        "package_retirement_url": at("packages/{name}/releases/{version}/retire"),
        "package_release_url": at("packages/{name}/releases/{version}"),
        "package_owners_url": at("packages/{name}/owners"),
        "keys_url": at("keys"),
        "key_url": at("keys/{name}"),
        "documentation_url": "https://hex.pm/docs",
    })
}

/// A repository.
pub(in crate::api) fn repository(places: Urls<'_>, repository: &Repository) -> Value {
    let kind = match repository {
        Repository::Remote(_) => "remote",
        Repository::Local(_) => "local",
        Repository::Virtual(_) => "virtual",
    };
    json!({
        "name": repository.key().as_str(),
        "payload_name": repository.name().as_str(),
        "kind": kind,
        "public": repository.access().is_open(),
        "url": places.repository(repository),
    })
}
