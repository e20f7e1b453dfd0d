//! Describes packages of a virtual repository for the API: the member of each release, and the content of the signed
//! index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::VirtualRepository;
use super::listing::Kind;
use super::package::Merged;
use crate::auth::ReadGrant;
use crate::hex::name::PackageName;
use crate::repository::private_text::TypedText;
use crate::repository::remote::{
    DescribedPackage, DescribedRelease, FoundName, Search, UpstreamAnswer, describe, listed, only_listed,
};
use crate::repository::{RemoteRepository, RepoError, Repository, RequestContext};

/// A package as it is shown to a caller.
#[derive(Debug)]
pub(in crate::repository) struct ShownPackage {
    /// The repositories that it comes from, by priority, each with the caller's right to read it. None of them is
    /// virtual.
    pub(in crate::repository) sources: Vec<(Repository, ReadGrant)>,
    /// For each available version: the index of its repository in `sources`.
    pub(in crate::repository) versions: BTreeMap<Box<str>, usize>,
    /// The content of the index that this repository signs.
    pub(in crate::repository) described: DescribedPackage,
}

impl ShownPackage {
    /// The repository of a version.
    pub(in crate::repository) fn source(&self, version: &str) -> Option<&(Repository, ReadGrant)> {
        self.sources.get(*self.versions.get(version)?)
    }
}

/// The search results of a member.
pub(in crate::repository) type SearchHit = (Arc<RemoteRepository>, UpstreamAnswer<Vec<FoundName>>);

impl VirtualRepository {
    /// A package as it is shown to a caller.
    pub(in crate::repository) async fn shown(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<ShownPackage, RepoError> {
        let view = self.view(grant)?;
        let merged = self.package(&view, name, context).await?.value.merged;
        let (sources, versions) = self.homes(&merged, grant, name, context).await?;
        let mut described = describe(&self.shared, merged.payload.clone(), self.key()).await?;
        for (at, (source, _)) in sources.iter().enumerate() {
            if let Repository::Remote(remote) = source {
                let mut own: Vec<&mut DescribedRelease> = described.releases.iter_mut().collect();
                own.retain(|release| versions.get(release.version.as_str()) == Some(&at));
                remote.date(name, own).await?;
            }
        }
        Ok(ShownPackage { sources, versions, described })
    }

    /// The repositories of a package that was merged for this caller, and the repository of each version.
    #[expect(clippy::type_complexity, reason = "the fields of what is shown")]
    fn homes<'a>(
        self: &'a Arc<Self>,
        merged: &'a Merged,
        grant: &'a ReadGrant,
        name: &'a PackageName,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<(Vec<(Repository, ReadGrant)>, BTreeMap<Box<str>, usize>), RepoError>> {
        Box::pin(async move {
            let (mut sources, mut versions) = (Vec::new(), BTreeMap::new());
            for at in merged.parts.iter().copied() {
                let right = grant.members().get(at).and_then(Option::as_ref);
                let (Some(member), Some(right)) = (self.members().get(at), right) else { continue };
                let mine = merged.shown().filter(|version| merged.shows(version, at));
                let first = sources.len();
                match &member.repository {
                    Repository::Virtual(below) => {
                        let theirs = below.package(&below.view(right)?, name, context).await?.value.merged;
                        let (theirs, places) = below.homes(&theirs, right, name, context).await?;
                        sources.extend(theirs);
                        let place = |version: &str| Some((version.into(), first + places.get(version)?));
                        versions.extend(mine.filter_map(place));
                    }
                    repository => {
                        sources.push((repository.clone(), right.clone()));
                        versions.extend(mine.map(|version| (version.into(), first)));
                    }
                }
            }
            Ok((sources, versions))
        })
    }

    /// The remote repositories that a caller may read here, by priority.
    pub(in crate::repository) fn remotes(&self, grant: &ReadGrant) -> Vec<(Arc<RemoteRepository>, ReadGrant)> {
        let mut found = Vec::new();
        for (member, right) in self.members().iter().zip(grant.members()) {
            let Some(right) = right else { continue };
            match &member.repository {
                Repository::Remote(remote) => found.push((Arc::clone(remote), right.clone())),
                Repository::Local(_) => {}
                Repository::Virtual(below) => found.extend(below.remotes(right)),
            }
        }
        found
    }

    /// Searches the remote members that a caller may read; names that belong to other members are removed. A member
    /// whose search fails is skipped.
    pub(in crate::repository) fn search<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        search: &'a Search,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Vec<SearchHit>, RepoError>> {
        Box::pin(async move {
            let view = self.view(grant)?;
            let mut claims = self.claims(context).await?;
            // A private name must not be sent to a public API.
            let is_private = search.is_private || claims.are_named_in(&TypedText::of(&search.text));
            let search = &Search { is_private, ..search.clone() };
            let (mut all, mut taken) = (Vec::new(), BTreeSet::new());
            for (at, member) in self.members().iter().enumerate() {
                let Some(right) = grant.members().get(at).and_then(Option::as_ref) else { continue };
                let found = match &member.repository {
                    Repository::Local(_) => continue,
                    Repository::Virtual(below) => below.search(right, search, context).await,
                    Repository::Remote(remote) => {
                        let told = remote.about_search(right, search, context).await;
                        told.map(|told| vec![(Arc::clone(remote), told)])
                    }
                };
                let found = match found {
                    Ok(found) => found,
                    Err(error) => {
                        self.say_skipped(at, &error);
                        continue;
                    }
                };
                if self.has_answered_since(&claims, None).await? {
                    claims = self.claims(context).await?;
                }
                let mut is_theirs = |name: &str| {
                    let claimants: Vec<bool> =
                        (0..self.members().len()).map(|one| claims.is_claimed_by(one, name)).collect();
                    self.options.identity.names.allows(name)
                        && member.names.allows(name)
                        && view.reads(at, name)
                        && self.options.rules.order(name, &claimants, |at| self.is_public(at)).contains(&at)
                        && taken.insert(name.to_owned())
                };
                all.extend(found.into_iter().map(|(remote, told)| (remote, only(told, &mut is_theirs))));
            }
            if all.is_empty() || !self.enforcer.as_ref().is_some_and(|enforcer| enforcer.is_enforced()) {
                return Ok(all);
            }
            let versions = self.index(&view, Kind::Versions, context).await?.value.0;
            let shown = listed(&self.shared, versions).await?;
            Ok(all.into_iter().map(|(remote, told)| (remote, only_listed(told, &shown))).collect())
        })
    }
}

/// Keeps only the results for which `is_theirs` returns true.
fn only(
    told: UpstreamAnswer<Vec<FoundName>>,
    is_theirs: &mut impl FnMut(&str) -> bool,
) -> UpstreamAnswer<Vec<FoundName>> {
    match told {
        UpstreamAnswer::Registry(mut found) => {
            found.retain(|found| is_theirs(&found.name));
            UpstreamAnswer::Registry(found)
        }
        UpstreamAnswer::Api(value) => {
            let packages = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
            let mut is_theirs = |package: &&Value| match package.get("name").and_then(Value::as_str) {
                Some(name) => is_theirs(name),
                None => false,
            };
            UpstreamAnswer::Api(Arc::new(packages.filter(|package| is_theirs(package)).cloned().collect()))
        }
    }
}
