//! Descriptions of a remote repository's packages for the HTTP API: from the upstream's API, or else from the signed
//! registry and the stored tarballs.
//!
//! The API's answers are not signed, so no decision depends on them.

use std::sync::Arc;

use prost::Message as _;
use serde_json::{Map, Value};

use super::search_results::{listed, only_listed};
use super::signed_description::{DescribedPackage, DescribedRelease, describe};
use super::{RemoteRepository, check_right};
use crate::auth::ReadGrant;
use crate::cache::api_answers::ApiQuery;
use crate::cache::error::Internal;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::SignedBy;
use crate::cache::{CacheError, Served, SharedCaches};
use crate::hex::message;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::version;
use crate::repository::RequestContext;
use crate::repository::error::{MissingOffline, RepoError};
use crate::repository::private_text::TypedText;

/// Number of packages on a page of search results.
const PAGE: usize = 100;

/// The sort orders of the upstream's API.
const SORTS: [&str; 6] = ["downloads", "inserted_at", "name", "recent_downloads", "total_downloads", "updated_at"];

/// Maximum length of a search text.
const LONGEST_SEARCH: usize = 256;

/// An answer, by source.
#[derive(Clone, Debug)]
pub(in crate::repository) enum UpstreamAnswer<T> {
    /// From the upstream's API.
    Api(Arc<Value>),
    /// From the signed registry.
    Registry(T),
}

/// A package that a search has found in the list of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundName {
    /// Its name.
    pub name: String,
    /// Its versions, newest first.
    pub versions: Vec<String>,
}

/// A search, as a client has sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) struct Search {
    /// Words, and pairs of a key and a value.
    pub(in crate::repository) text: String,
    /// The word for the sort order.
    pub(in crate::repository) sort: String,
    /// The page of a hundred packages, starting at 1.
    pub(in crate::repository) page: usize,
    /// Whether it must not be sent upstream.
    pub(in crate::repository) is_private: bool,
}

impl Search {
    /// The parameters, sorted by name, without empty ones.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        if !self.text.is_empty() {
            query.append_pair("search", &self.text);
        }
        // Only words of the API are sent, no other text.
        if SORTS.contains(&self.sort.as_str()) {
            query.append_pair("sort", &self.sort);
        }
        query.finish()
    }
}

impl RemoteRepository {
    /// A package. Cancel safe.
    pub(in crate::repository) async fn about_package(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<UpstreamAnswer<DescribedPackage>, RepoError> {
        self.check(grant)?;
        check_right(grant, name)?;
        self.check_name(name)?;
        match self.ask(format!("packages/{name}"), String::new(), context).await {
            Ok(value) if self.enforcer.is_none() => Ok(UpstreamAnswer::Api(value)),
            Ok(value) => {
                let described = self.described(grant, name, context).await?;
                Ok(UpstreamAnswer::Api(Arc::new(without_held(&value, &described))))
            }
            Err(_) => Ok(UpstreamAnswer::Registry(self.described(grant, name, context).await?)),
        }
    }

    /// A release, and from the registry its package, too. Cancel safe.
    pub(in crate::repository) async fn about_release(
        self: &Arc<Self>,
        grant: &ReadGrant,
        release: &ArtifactName,
        context: RequestContext,
    ) -> Result<UpstreamAnswer<(DescribedPackage, DescribedRelease)>, RepoError> {
        self.check(grant)?;
        check_right(grant, &release.package)?;
        self.check_name(&release.package)?;
        let path = format!("packages/{}/releases/{}", release.package, release.version);
        let answer = self.ask(path, String::new(), context).await;
        if let (Ok(value), None) = (&answer, &self.enforcer) {
            return Ok(UpstreamAnswer::Api(Arc::clone(value)));
        }
        let package = self.described(grant, &release.package, context).await?;
        let found = package.releases.iter().find(|one| one.version == release.version.as_str()).cloned();
        let found = found.ok_or(RepoError::NotFound)?;
        Ok(answer.map_or_else(|_| UpstreamAnswer::Registry((package, found)), UpstreamAnswer::Api))
    }

    /// The owners of a package, which only the upstream's API has. Cancel safe.
    pub(in crate::repository) async fn about_owners(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<Arc<Value>, RepoError> {
        self.check(grant)?;
        check_right(grant, name)?;
        self.check_name(name)?;
        self.ask(format!("packages/{name}/owners"), String::new(), context).await
    }

    /// A user, which only the upstream's API has. Cancel safe.
    pub(in crate::repository) async fn about_user(
        &self,
        grant: &ReadGrant,
        name: &str,
        context: RequestContext,
    ) -> Result<Arc<Value>, RepoError> {
        self.check(grant)?;
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let named = (1..=64).contains(&name.len()) && name.bytes().all(sound) && !name.bytes().all(|byte| byte == b'.');
        // `me` is the authenticated user, and our requests are anonymous.
        if !named || name == "me" {
            return Err(RepoError::NotFound);
        }
        self.ask(format!("users/{name}"), String::new(), context).await
    }

    /// A page of the matching packages. Without the upstream's API only names are searched. Cancel safe.
    pub(in crate::repository) async fn about_search(
        self: &Arc<Self>,
        grant: &ReadGrant,
        search: &Search,
        context: RequestContext,
    ) -> Result<UpstreamAnswer<Vec<FoundName>>, RepoError> {
        self.check(grant)?;
        if search.text.len() > LONGEST_SEARCH || search.sort.len() > LONGEST_SEARCH {
            return Err(RepoError::NotFound);
        }
        if !search.is_private
            && TypedText::of(&search.text).may_be_sent()
            && let Ok(value) = self.ask("packages".to_owned(), search.query(), context).await
        {
            let told = UpstreamAnswer::Api(self.without_excluded(grant, value));
            if !self.enforcer.as_ref().is_some_and(|enforcer| enforcer.is_enforced()) {
                return Ok(told);
            }
            let versions = self.whole(&RegistryResource::Versions, SignedBy::Own, context).await?.value.0;
            return Ok(only_listed(told, &listed(&self.shared, versions).await?));
        }
        let (names, readable, search) = (self.options.identity.names.clone(), grant.packages().clone(), search.clone());
        let wanted = search.text.trim().to_lowercase();
        let by = if self.enforcer.is_some() { SignedBy::Own } else { self.options.signature };
        let versions = self.whole(&RegistryResource::Versions, by, context).await?.value.0;
        read(&self.shared, versions, move |payload| {
            let mut found = Vec::new();
            for package in message::Versions::decode(payload).ok()?.packages {
                if package.name.contains(&wanted) && names.allows(&package.name) && readable.allows(&package.name) {
                    let mut versions = package.versions;
                    versions.sort_by_cached_key(|text| std::cmp::Reverse(version::order(text)));
                    found.push(FoundName { name: package.name, versions });
                }
            }
            // An exact match comes first.
            found.sort_by(|one, other| (one.name != wanted, &one.name).cmp(&(other.name != wanted, &other.name)));
            let first = search.page.saturating_sub(1).saturating_mul(PAGE);
            Some(found.into_iter().skip(first).take(PAGE).collect())
        })
        .await
        .map(UpstreamAnswer::Registry)
    }

    /// Removes the packages from a list that this repository excludes or that the caller may not read.
    fn without_excluded(&self, grant: &ReadGrant, value: Arc<Value>) -> Arc<Value> {
        let readable = grant.packages();
        match &*value {
            Value::Array(packages) if !self.options.identity.names.allows_all() || readable.patterns().is_some() => {
                let name = |package: &&Value| package.get("name").and_then(Value::as_str).map(str::to_owned);
                let allowed = |package: &&Value| {
                    name(package)
                        .is_some_and(|name| self.options.identity.names.allows(&name) && readable.allows(&name))
                };
                Arc::new(packages.iter().filter(allowed).cloned().collect())
            }
            _ => value,
        }
    }

    async fn ask(&self, path: String, query: String, context: RequestContext) -> Result<Arc<Value>, RepoError> {
        let answers = self.answers.as_ref().ok_or(RepoError::NotFound)?;
        let question = ApiQuery { path, query };
        let served: Result<Served<Arc<Value>>, _> = answers.get(&question, context.deadline).await;
        let key = &self.options.identity.key;
        let of = |error| {
            RepoError::of(error, MissingOffline::Answer, format_args!("the API answer of {key} for {}", question.path))
        };
        Ok(served.map_err(of)?.value)
    }

    /// The description of a package, without the releases held by policy.
    async fn described(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<DescribedPackage, RepoError> {
        let resource = RegistryResource::Package(name.clone());
        self.check(grant)?;
        check_right(grant, name)?;
        let by = if self.enforcer.is_some() { SignedBy::Own } else { self.options.signature };
        let payload = self.whole(&resource, by, context).await?.value.0;
        let mut described = describe(&self.shared, payload, &self.options.identity.key).await?;
        self.date(name, described.releases.iter_mut().collect()).await?;
        Ok(described)
    }

    /// For releases without a date, sets the time when this server first saw them.
    pub(in crate::repository) async fn date(
        &self,
        name: &PackageName,
        releases: Vec<&mut DescribedRelease>,
    ) -> Result<(), RepoError> {
        if releases.iter().all(|release| release.published_at.is_some()) {
            return Ok(());
        }
        let sights = self.state.first_sights(self.key().as_str(), name.as_str()).await?;
        for release in releases {
            let seen = sights.get(&release.version).map(|(_, seen)| *seen);
            release.published_at = release.published_at.or(seen);
        }
        Ok(())
    }
}

/// Reads data from a resource.
pub(super) async fn read<T: Send + 'static>(
    shared: &SharedCaches,
    payload: Payload,
    read: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
) -> Result<T, RepoError> {
    let read = shared.blocking(move |_| read(&payload.bytes().ok()?));
    Ok(read.await?.ok_or_else(|| CacheError::internal(Internal::Unreadable))?)
}

/// The API's answer about a package, without the releases that are hidden.
pub(in crate::repository) fn without_held(value: &Value, shown: &DescribedPackage) -> Value {
    let versions: Vec<&str> = shown.releases.iter().map(|release| release.version.as_str()).collect();
    with_versions(value, &versions)
}

/// The API's answer about a package with only these versions, newest first. Lines to copy with a hidden version are
/// emptied.
pub(super) fn with_versions(value: &Value, versions: &[&str]) -> Value {
    let is_shown = |version: &str| versions.contains(&version);
    let mut value = value.clone();
    let Value::Object(map) = &mut value else { return value };
    if let Some(Value::Array(releases)) = map.get_mut("releases") {
        releases.retain(|release| release.get("version").and_then(Value::as_str).is_some_and(is_shown));
    }
    if let Some(Value::Object(retirements)) = map.get_mut("retirements") {
        retirements.retain(|version, _| is_shown(version));
    }
    let latest = versions.first().copied();
    let is_stable =
        |text: &&str| text.parse::<version::ReleaseVersion>().is_ok_and(|version| !version.is_pre_release());
    let stable = versions.iter().copied().find(is_stable);
    for (field, version) in [("latest_version", latest), ("latest_stable_version", stable)] {
        let named = map.insert(field.to_owned(), version.map_or(Value::Null, Value::from));
        let is_hidden = named.as_ref().and_then(Value::as_str).is_some_and(|version| !is_shown(version));
        let lines = map.get_mut("configs").filter(|_| is_hidden).and_then(Value::as_object_mut);
        lines.into_iter().flat_map(Map::values_mut).for_each(|line| *line = Value::from(""));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_spelt_in_one_way() {
        let search = |text: &str, sort: &str, page| {
            Search { text: text.into(), sort: sort.into(), page, is_private: false }.query()
        };
        assert_eq!(search("", "", 1), "");
        assert_eq!(search("json & xml", "name", 1), "search=json+%26+xml&sort=name");
        assert_eq!(search("json", "", 3), "page=3&search=json");
        assert_eq!(search("json", "acme_secret", 1), "search=json", "no text but the words of the API");
    }
}
