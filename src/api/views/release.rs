//! JSON of a release, from whichever source describes it.

use serde_json::{Value, json};

use super::package::version_and_app;
use super::{PackageRepository, configs, retirement, time, upstreams, with_some};
use crate::api::urls::Urls;
use crate::repository::describe::ReleaseContent;
use crate::repository::local::{Release, ReleaseMetadata};
use crate::repository::remote::DescribedRelease;
use crate::repository::{ReleaseView, Repository};

/// A release as the repository `asked` shows it; `None` if no URL leads to it. `publisher` is the user who published it
/// to a local repository, as [`actor`](super::actor).
pub(in crate::api) fn release(
    places: Urls<'_>,
    asked: &Repository,
    view: &ReleaseView,
    publisher: Option<Value>,
) -> Option<Value> {
    let shelf = PackageRepository::of(places, asked, view.home())?;
    let name = view.package().as_str();
    Some(match view.content() {
        ReleaseContent::Local(release) => local(&shelf, name, release, publisher),
        ReleaseContent::Upstream(value) => upstreams::release(places, &shelf, name, Value::clone(value)),
        ReleaseContent::Index { release, about } => index(&shelf, name, release, about.as_ref()),
    })
}

fn local(shelf: &PackageRepository<'_>, name: &str, release: &Release, publisher: Option<Value>) -> Value {
    let (shop, version) = (&shelf.shop, release.listed.version.as_str());
    json!({
        "version": version,
        "checksum": release.listed.outer.to_string(),
        "inner_checksum": release.listed.inner.to_string(),
        "has_docs": release.listed.docs.is_some(),
        "url": shop.release(name, version),
        "html_url": shop.release(name, version),
        "package_url": shop.package(name),
        "docs_html_url": release.listed.docs.and_then(|_| shop.docs(name, version)),
        "inserted_at": time(release.listed.inserted_at),
        "updated_at": time(release.updated_at),
        "retirement": retirement(release.listed.retirement.as_ref()),
        "requirements": shelf.requirements(&release.requirements),
        "configs": configs(shelf.source, name, Some(version_and_app(release))),
        "meta": {
            "app": release.about.app,
            "build_tools": release.about.build_tools,
            "elixir": release.about.elixir,
        },
        "downloads": 0,
        "publisher": publisher,
        "security_advisories": [],
    })
}

fn index(
    shelf: &PackageRepository<'_>,
    name: &str,
    release: &DescribedRelease,
    about: Option<&ReleaseMetadata>,
) -> Value {
    let (shop, version) = (&shelf.shop, release.version.as_str());
    let nothing = ReleaseMetadata::default();
    let about = about.unwrap_or(&nothing);
    let app = if about.app.is_empty() { name } else { about.app.as_str() };
    let value = json!({
        "version": version,
        "checksum": release.outer.map(|digest| digest.to_string()),
        "inner_checksum": release.inner.map(|digest| digest.to_string()),
        // The index does not say whether documentation exists; a client that requests the file finds out.
        "has_docs": false,
        "url": shop.release(name, version),
        "html_url": shop.release(name, version),
        "package_url": shop.package(name),
        "docs_html_url": null,
        "retirement": retirement(release.retirement.as_ref()),
        "requirements": shelf.requirements(&release.requirements),
        "configs": configs(shelf.source, name, Some((version, app))),
        "meta": {"app": app, "build_tools": about.build_tools, "elixir": about.elixir},
        "downloads": 0,
        "publisher": null,
        "security_advisories": [],
    });
    let published_at = release.published_at.map(time);
    with_some(with_some(value, "inserted_at", published_at.clone()), "updated_at", published_at)
}
