//! The addresses in answers: each is one of the base that was asked, and whoever is told it can fetch it.
//!
//! Every address that the API tells is made here. What the caller could not fetch has none.

use std::sync::Arc;

use super::accounts;
use super::request::ApiRequest;
use crate::auth::{ReadGrant, Role};
use crate::hex::uri::segment;
use crate::repository::{Repository, SignedBy};

/// The base below which the API was asked, as whoever asked has written it.
#[derive(Clone, Debug)]
pub struct BaseUrl {
    /// Scheme and authority, without a slash at the end.
    pub server: Arc<str>,
    /// The path of the repository's files: nothing, or `/repos/acme`. `None`: it has none below this base.
    pub files: Option<String>,
    /// The path of the API: `/api`, `/repos/acme/api`, `/api/repos/acme`.
    pub api: String,
    /// The repository at the root of that server: what clients call `hexpm` may be this one.
    pub root: Repository,
}

/// The addresses of accounts, and those of repositories.
#[derive(Clone, Copy, Debug)]
pub(super) struct Urls<'a> {
    ask: &'a ApiRequest,
}

/// Where a repository is found by whoever asks.
#[derive(Clone, Debug)]
pub(super) struct RepositoryUrls {
    api: String,
    /// Where files are, and the right to fetch them; `None`: whoever asks cannot.
    files: Option<(String, ReadGrant)>,
}

/// How a project says that a package is of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DependencySource<'a> {
    /// It says nothing: clients look there for whatever does not say more.
    Usual,
    /// As an organization of the repository at the root.
    Organization(&'a str),
    /// As a repository that was added by this name.
    Repository(&'a str),
}

pub(super) fn places(ask: &ApiRequest) -> Urls<'_> {
    Urls { ask }
}

impl<'a> Urls<'a> {
    /// An address of the API that was asked.
    pub(super) fn api(self, path: &str) -> String {
        let base = &self.ask.call.base;
        format!("{}{}/{path}", base.server, base.api)
    }

    /// A page for people: it is the server's, on whatever host. `path` begins with a slash.
    pub(super) fn page(self, path: &str) -> String {
        format!("{}{path}", self.ask.call.base.server)
    }

    /// A user, whether there is one or not.
    pub(super) fn user(self, name: &str) -> String {
        self.api(&format!("users/{}", segment(name)))
    }

    /// A user or an organization, where the caller may see the account.
    pub(super) async fn account(self, name: &str) -> Option<String> {
        if accounts::seen(self.ask, name).await.is_ok_and(|seen| seen.is_some()) {
            return Some(self.user(name));
        }
        let seen = accounts::organization(self.ask, name, Role::Read).await;
        seen.is_ok().then(|| self.api(&format!("orgs/{}", segment(name))))
    }

    /// A member of an organization.
    pub(super) fn member(self, organization: &str, name: &str) -> String {
        self.api(&format!("orgs/{}/members/{}", segment(organization), segment(name)))
    }

    pub(super) fn key(self, name: &str, organization: Option<&str>) -> String {
        let name = segment(name);
        match organization {
            Some(organization) => self.api(&format!("orgs/{}/keys/{name}", segment(organization))),
            None => self.api(&format!("keys/{name}")),
        }
    }

    /// Where a repository is found below the server that was asked, whatever path was: the addresses of its files and of
    /// its API.
    fn at(self, shown: &Repository) -> (String, String) {
        let (BaseUrl { server, root, .. }, public) = (&self.ask.call.base, &self.ask.call.public_url);
        let by_host = server != public;
        if by_host && shown.is(root) {
            return (server.to_string(), format!("{server}/api"));
        }
        // Below a host, `hexpm` is what stands at its root.
        let server = if by_host && shown.key().as_str() == "hexpm" { public } else { server };
        (format!("{server}/repos/{}", shown.key()), format!("{server}/api/repos/{}", shown.key()))
    }

    /// Where the packages of `owner`, which unites no others, are found: at the repository that was asked about, where that
    /// has them; else at its own address, or at that of a repository that unites it with others.
    pub(super) fn of(self, owner: &Repository) -> Option<RepositoryUrls> {
        let BaseUrl { server, files, api, .. } = &self.ask.call.base;
        match self.ask.call.repository.as_ref().filter(|asked| has(asked, owner)) {
            Some(asked) => {
                let files = match (asked.identity().direct, files) {
                    (true, Some(files)) => self.files(asked, owner, format!("{server}{files}")),
                    (true, None) => self.files(asked, owner, self.at(asked).0),
                    // It has no files at an address of its own.
                    (false, _) => self.view(asked).and_then(|view| self.files(view, owner, self.at(view).0)),
                };
                Some(RepositoryUrls { api: format!("{server}{api}"), files })
            }
            None => {
                let shown = if owner.identity().direct { owner } else { self.view(owner)? };
                let (files, api) = self.at(shown);
                Some(RepositoryUrls { api, files: self.files(shown, owner, files) })
            }
        }
    }

    /// A repository, where it has an address.
    pub(super) fn repository(self, repository: &Repository) -> Option<String> {
        let direct = repository.identity().direct;
        direct.then(|| format!("{}/api/repos/{}", self.ask.call.base.server, repository.key()))
    }

    /// The address of the files of `shown`, with the right to fetch those of `owner` there.
    fn files(self, shown: &Repository, owner: &Repository, address: String) -> Option<(String, ReadGrant)> {
        let right = shown.access().read_docs(&self.ask.caller).ok()?;
        Some((address, right_to(shown, owner, &right)?.clone()))
    }

    /// The repository by which the packages of another one are found that has no address of its own.
    fn view(self, of: &Repository) -> Option<&'a Repository> {
        let may_read = |one: &&Repository| one.access().read_api(&self.ask.caller).is_ok();
        let views = self.ask.call.catalog.iter().filter(|one| one.identity().direct && has(one, of));
        views.filter(may_read).min_by(|one, other| one.key().cmp(other.key()))
    }

    /// How a project names the repository that `shown` is to clients of this server.
    pub(super) fn source(self, shown: &'a Repository) -> DependencySource<'a> {
        let root = &self.ask.call.base.root;
        let (key, name) = (shown.key().as_str(), shown.name().as_str());
        // Clients verify an organization with the key that they hold for the root, and expect its name.
        let verifies = match root.signature() {
            SignedBy::Own => true,
            SignedBy::Upstream => {
                let upstream = SignedBy::Upstream;
                shown.signature() == upstream && shown.public_key(upstream) == root.public_key(upstream)
            }
        };
        match name {
            "hexpm" => DependencySource::Usual,
            _ if root.name().as_str() == "hexpm" && key == name && shown.identity().direct && verifies => {
                DependencySource::Organization(key)
            }
            _ => DependencySource::Repository(name),
        }
    }
}

/// Whether `asked` is `owner`, or has it as a member.
fn has(asked: &Repository, owner: &Repository) -> bool {
    asked.is(owner) || asked.as_virtual().is_some_and(|composed| composed.has_member(owner.key()))
}

/// The part of a right to `shown` that is about `owner`.
fn right_to<'r>(shown: &Repository, owner: &Repository, right: &'r ReadGrant) -> Option<&'r ReadGrant> {
    match shown.as_virtual() {
        Some(composed) => {
            let mut members = composed.members().iter().zip(right.members());
            members.find_map(|(member, right)| right_to(&member.repository, owner, right.as_ref()?))
        }
        None => shown.is(owner).then_some(right),
    }
}

impl RepositoryUrls {
    pub(super) fn package(&self, name: &str) -> String {
        format!("{}/packages/{}", self.api, segment(name))
    }

    pub(super) fn release(&self, name: &str, version: &str) -> String {
        format!("{}/releases/{}", self.package(name), segment(version))
    }

    /// The documentation of a release; `None` where the caller cannot fetch it.
    pub(super) fn docs(&self, name: &str, version: &str) -> Option<String> {
        let (files, right) = self.files.as_ref()?;
        let file = format!("{name}-{version}.tar.gz");
        right.packages().allows(name).then(|| format!("{files}/docs/{}", segment(&file)))
    }
}
