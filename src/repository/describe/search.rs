//! Searches and lists packages.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::package_home::ShownReleases;
use super::{PackageContent, PackageView, Reading};
use crate::auth::{Caller, ReadGrant};
use crate::hex::name::PackageName;
use crate::repository::local::SearchRow;
use crate::repository::local::search::{PAGE, Query, Sort};
use crate::repository::remote::{Search, UpstreamAnswer};
use crate::repository::{LocalRepository, NameRules, RepoError, Repository};

/// A search, as a client has sent it.
#[derive(Clone, Copy, Debug)]
pub struct PackageSearch<'a> {
    /// Words, and pairs of a key and a value; empty: all packages.
    pub text: &'a str,
    /// The word for the sort order.
    pub sort: &'a str,
    /// The page, starting at 1.
    pub page: usize,
    /// Maximum number of packages of local repositories on a page; `None`: the default.
    pub per_page: Option<usize>,
}

/// Where to search.
#[derive(Clone, Copy, Debug)]
pub enum SearchIn<'a> {
    /// In one repository.
    Repository(&'a Repository, &'a ReadGrant),
    /// In all repositories that a caller may read. The second value is the repository at the root, if the caller may
    /// read it: its upstreams are searched, too.
    Everything(&'a Caller, Option<(&'a Repository, &'a ReadGrant)>),
}

/// A page of packages.
#[derive(Clone, Debug)]
pub struct FoundPackages {
    packages: Vec<PackageView>,
    is_public: bool,
}

impl FoundPackages {
    /// The packages: first those of local repositories in the requested order, then those that upstreams have found.
    pub fn into_packages(self) -> Vec<PackageView> {
        self.packages
    }

    /// Whether everyone gets the same answer.
    pub fn is_public(&self) -> bool {
        self.is_public
    }
}

/// A repository that is searched.
struct SearchedRepository<'a> {
    /// The requested repository, and the right to it.
    asked: (&'a Repository, ReadGrant),
    /// The local repository to search; `None`: its packages come from an upstream.
    local: Option<(Arc<LocalRepository>, ReadGrant)>,
    /// The name rules of the virtual repositories through which it is seen.
    rules: Vec<NameRules>,
}

impl<'a> SearchIn<'a> {
    /// The requested repository, with the right to it.
    fn asked(self) -> Option<(&'a Repository, &'a ReadGrant)> {
        match self {
            Self::Repository(asked, grant) => Some((asked, grant)),
            Self::Everything(_, root) => root,
        }
    }
}

impl Reading<'_> {
    /// Finds the matching packages that a caller may see. Cancel safe.
    pub async fn search(&self, place: SearchIn<'_>, search: PackageSearch<'_>) -> Result<FoundPackages, RepoError> {
        let shelves = self.shelves(place);
        let is_public = |shelf: &SearchedRepository<'_>| match &shelf.local {
            Some((_, right)) => right.is_public(),
            None => shelf.asked.1.is_public(),
        };
        let mut is_public = shelves.iter().all(is_public);
        let mut packages = self.published(&shelves, search).await?;
        // Packages that upstreams have found come after our own.
        if let Some((asked, grant)) = place.asked()
            && let Ok(Some(more)) = self.mirrored(asked, grant, search).await
        {
            let ours: BTreeSet<String> = packages.iter().filter_map(|one| Some(one.name()?.to_owned())).collect();
            packages.extend(more.into_iter().filter(|one| one.name().is_none_or(|name| !ours.contains(name))));
            is_public &= grant.is_public();
        }
        Ok(FoundPackages { packages, is_public })
    }

    /// The repositories to search.
    fn shelves<'a>(&'a self, place: SearchIn<'a>) -> Vec<SearchedRepository<'a>> {
        match place {
            SearchIn::Repository(asked @ Repository::Virtual(composed), grant) => {
                let locals = composed.locals(grant).into_iter();
                let shelf = |(local, right, rules)| SearchedRepository {
                    asked: (asked, grant.clone()),
                    local: Some((local, right)),
                    rules,
                };
                locals.map(shelf).collect()
            }
            SearchIn::Repository(asked, grant) => vec![SearchedRepository::of(asked, grant.clone())],
            SearchIn::Everything(caller, _) => {
                let readable = self.catalog.readable(caller);
                let told = readable.filter(|(repository, _)| self.catalog.is_listed_for(repository, caller));
                let mut shelves: Vec<_> =
                    told.map(|(repository, grant)| SearchedRepository::of(repository, grant)).collect();
                shelves.sort_by(|one, other| one.asked.0.key().cmp(other.asked.0.key()));
                shelves
            }
        }
    }

    /// A page of the packages in local repositories.
    async fn published(
        &self,
        shelves: &[SearchedRepository<'_>],
        search: PackageSearch<'_>,
    ) -> Result<Vec<PackageView>, RepoError> {
        let (query, sort) = (Query::parse(search.text), Sort::from_word(search.sort));
        let mut found: Vec<(&SearchedRepository<'_>, SearchRow)> = Vec::new();
        for shelf in shelves {
            let Some((local, right)) = &shelf.local else { continue };
            let mut packages = local.search(right, &query, sort).await?;
            packages.retain(|package| shelf.rules.iter().all(|rules| rules.allows(&package.name)));
            found.extend(packages.into_iter().map(|package| (shelf, package)));
        }
        // The packages of each repository are sorted; those of several have to be merged.
        match sort {
            Sort::Name => found.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name)),
            Sort::Inserted => found.sort_by_key(|(_, package)| Reverse(package.inserted_at)),
            Sort::Updated => found.sort_by_key(|(_, package)| Reverse(package.updated_at)),
        }
        let per_page = search.per_page.unwrap_or(PAGE).clamp(1, PAGE);
        let first = search.page.saturating_sub(1).saturating_mul(per_page);
        let mut views = Vec::new();
        for (shelf, package) in found.into_iter().skip(first).take(per_page) {
            let (Some((local, right)), Ok(name)) = (&shelf.local, package.name.parse::<PackageName>()) else {
                continue;
            };
            if let Some(package) = local.package(right, &name).await? {
                let (asked, grant) = &shelf.asked;
                let left = ShownReleases::of(asked, grant, &name, *self).await?;
                views.push(PackageView::of_local(Arc::clone(local), right.is_public(), package, &left));
            }
        }
        Ok(views)
    }

    /// A page of the packages that upstreams have found; `None` if the repository has no upstream.
    async fn mirrored(
        &self,
        asked: &Repository,
        grant: &ReadGrant,
        search: PackageSearch<'_>,
    ) -> Result<Option<Vec<PackageView>>, RepoError> {
        let search = async || Search {
            text: search.text.to_owned(),
            sort: search.sort.to_owned(),
            page: search.page,
            is_private: self.is_named_privately(search.text).await,
        };
        let found = match asked {
            Repository::Local(_) => return Ok(None),
            Repository::Remote(remote) => {
                vec![(Arc::clone(remote), remote.about_search(grant, &search().await, self.context).await?)]
            }
            Repository::Virtual(composed) => composed.search(grant, &search().await, self.context).await?,
        };
        let mut views = Vec::new();
        for (remote, told) in found {
            let home = Repository::Remote(remote);
            let view = |content| PackageView::new(home.clone(), grant.is_public(), content);
            match told {
                UpstreamAnswer::Api(value) => {
                    let packages = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    let content = |one: &Value| PackageContent::Upstream(Arc::new(one.clone()));
                    views.extend(packages.iter().map(|one| view(content(one))));
                }
                UpstreamAnswer::Registry(found) => {
                    views.extend(found.into_iter().map(|one| view(PackageContent::Listed(one))))
                }
            }
        }
        Ok(Some(views))
    }
}

impl<'a> SearchedRepository<'a> {
    /// A repository that is searched directly.
    fn of(asked: &'a Repository, grant: ReadGrant) -> Self {
        let local = asked.as_local().map(|local| (Arc::clone(local), grant.clone()));
        Self { asked: (asked, grant), local, rules: Vec::new() }
    }
}
