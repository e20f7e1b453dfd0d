//! What the HTTP API shows of a remote repository: what its upstream's API says, else what the signed registry and the
//! tarballs that are here tell.
//!
//! The API's answers are signed by nobody, so nothing is decided by them.

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
use crate::repository::error::{NotHere, RepoError};
use crate::repository::private_text::TypedText;

/// Packages on a page of a search.
const PAGE: usize = 100;

/// The orders that an upstream's API knows.
const SORTS: [&str; 6] = ["downloads", "inserted_at", "name", "recent_downloads", "total_downloads", "updated_at"];

/// The longest text that is searched for.
const LONGEST_SEARCH: usize = 256;

/// What is known of something.
#[derive(Clone, Debug)]
pub(in crate::repository) enum UpstreamAnswer<T> {
    /// What the upstream's API says.
    Api(Arc<Value>),
    /// What is known without it.
    Registry(T),
}

/// A package that a search has found in the list of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundName {
    /// Its name.
    pub name: String,
    /// Newest first.
    pub versions: Vec<String>,
}

/// What is searched for, as a client has typed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) struct Search {
    /// Words, and pairs of a key and a value.
    pub(in crate::repository) text: String,
    /// A word that names an order.
    pub(in crate::repository) sort: String,
    /// Which hundred, from 1.
    pub(in crate::repository) page: usize,
    /// Whether nobody upstream is to hear of it.
    pub(in crate::repository) is_private: bool,
}

impl Search {
    /// The parameters, sorted by name, without those that say nothing.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        if !self.text.is_empty() {
            query.append_pair("search", &self.text);
        }
        // A word of the API, and no other text.
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

    /// A release; by the registry with the package that it is of. Cancel safe.
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

    /// The owners of a package, which only the upstream's API knows. Cancel safe.
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

    /// A user, whom only the upstream's API knows. Cancel safe.
    pub(in crate::repository) async fn about_user(
        &self,
        grant: &ReadGrant,
        name: &str,
        context: RequestContext,
    ) -> Result<Arc<Value>, RepoError> {
        self.check(grant)?;
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let named = (1..=64).contains(&name.len()) && name.bytes().all(sound) && !name.bytes().all(|byte| byte == b'.');
        // `me` is whoever asks, and nobody is asked for by us.
        if !named || name == "me" {
            return Err(RepoError::NotFound);
        }
        self.ask(format!("users/{name}"), String::new(), context).await
    }

    /// A page of the packages that fit. Without the upstream's API only the name is searched. Cancel safe.
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
            // Whoever types a whole name means it.
            found.sort_by(|one, other| (one.name != wanted, &one.name).cmp(&(other.name != wanted, &other.name)));
            let first = search.page.saturating_sub(1).saturating_mul(PAGE);
            Some(found.into_iter().skip(first).take(PAGE).collect())
        })
        .await
        .map(UpstreamAnswer::Registry)
    }

    /// A list of packages without those that this repository does not answer for, or that the caller may not read.
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
            RepoError::of(error, NotHere::Answer, format_args!("what the API of {key} says of {}", question.path))
        };
        Ok(served.map_err(of)?.value)
    }

    /// What readers are shown of a package, without what is held back.
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

    /// Gives releases of a package of this repository that have no date the one on which they were seen here first.
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

/// Reads what a resource says.
pub(super) async fn read<T: Send + 'static>(
    shared: &SharedCaches,
    payload: Payload,
    read: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
) -> Result<T, RepoError> {
    let read = shared.blocking(move |_| read(&payload.bytes().ok()?));
    Ok(read.await?.ok_or_else(|| CacheError::internal(Internal::Unreadable))?)
}

/// What the API says of a package, without the releases that readers are not shown.
pub(in crate::repository) fn without_held(value: &Value, shown: &DescribedPackage) -> Value {
    let versions: Vec<&str> = shown.releases.iter().map(|release| release.version.as_str()).collect();
    with_versions(value, &versions)
}

/// What the API says of a package, with these versions alone, newest first. Lines to copy name none that is left out.
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
