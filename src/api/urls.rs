//! Builds every URL in the API's answers.
//!
//! URLs use the base URL of the request. An answer contains a URL only if the caller can fetch it.

use std::sync::Arc;

use super::accounts;
use super::request::ApiRequest;
use crate::auth::{ReadGrant, Role};
use crate::hex::uri::segment;
use crate::repository::{Repository, SignedBy};

/// The base URL of the API as the client wrote it.
#[derive(Clone, Debug)]
pub struct BaseUrl {
    /// Scheme and authority, without a trailing slash.
    pub server: Arc<str>,
    /// The path of the repository's files: empty, or `/repos/acme`. `None` if this base has no files.
    pub files: Option<String>,
    /// The path of the API: `/api`, `/repos/acme/api`, `/api/repos/acme`.
    pub api: String,
    /// The repository at the root of the server, which clients may call `hexpm`.
    pub root: Repository,
}

/// The URLs of accounts and repositories for one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Urls<'a> {
    ask: &'a ApiRequest,
}

/// The URLs of a repository for one caller.
#[derive(Clone, Debug)]
pub(super) struct RepositoryUrls {
    api: String,
    /// The URL of the files and the access to them; `None` if the caller cannot download them.
    files: Option<(String, ReadGrant)>,
}

/// How a project's dependency refers to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DependencySource<'a> {
    /// Without a repository: clients use this repository by default.
    Default,
    /// With `organization: KEY`, as an organization of the repository at the root.
    Organization(&'a str),
    /// With `repo: NAME`, as a repository added under this name.
    Repository(&'a str),
}

pub(super) fn urls(ask: &ApiRequest) -> Urls<'_> {
    Urls { ask }
}

impl<'a> Urls<'a> {
    /// A URL of the API, below the base of the request.
    pub(super) fn api(self, path: &str) -> String {
        let base = &self.ask.context.base;
        format!("{}{}/{path}", base.server, base.api)
    }

    /// The URL of an HTML page. Pages are the same on all hosts. `path` begins with a slash.
    pub(super) fn page(self, path: &str) -> String {
        format!("{}{path}", self.ask.context.base.server)
    }

    /// The URL of a user, whether the user exists or not.
    pub(super) fn user(self, name: &str) -> String {
        self.api(&format!("users/{}", segment(name)))
    }

    /// The URL of a user or an organization, if the caller may see the account.
    pub(super) async fn account(self, name: &str) -> Option<String> {
        if accounts::visible_user(self.ask, name).await.is_ok_and(|seen| seen.is_some()) {
            return Some(self.user(name));
        }
        let seen = accounts::organization(self.ask, name, Role::Read).await;
        seen.is_ok().then(|| self.api(&format!("orgs/{}", segment(name))))
    }

    /// The URL of a member of an organization.
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

    /// The URLs of a repository's files and API on this server, whatever the path of the request.
    fn at(self, shown: &Repository) -> (String, String) {
        let (BaseUrl { server, root, .. }, public) = (&self.ask.context.base, &self.ask.context.public_url);
        let by_host = server != public;
        if by_host && shown.is(root) {
            return (server.to_string(), format!("{server}/api"));
        }
        // On a repository's own host, `hexpm` means the repository at its root.
        let server = if by_host && shown.key().as_str() == "hexpm" { public } else { server };
        (format!("{server}/repos/{}", shown.key()), format!("{server}/api/repos/{}", shown.key()))
    }

    /// The URLs of the packages of `owner`, which is not virtual: below the requested repository, if that contains it;
    /// else below its own path, or below a virtual repository that contains it.
    pub(super) fn of(self, owner: &Repository) -> Option<RepositoryUrls> {
        let BaseUrl { server, files, api, .. } = &self.ask.context.base;
        match self.ask.context.repository.as_ref().filter(|asked| has(asked, owner)) {
            Some(asked) => {
                let files = match (asked.identity().direct, files) {
                    (true, Some(files)) => self.files(asked, owner, format!("{server}{files}")),
                    (true, None) => self.files(asked, owner, self.at(asked).0),
                    // The requested repository has no files at its own path.
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

    /// The URL of a repository, if it has a path of its own.
    pub(super) fn repository(self, repository: &Repository) -> Option<String> {
        let direct = repository.identity().direct;
        direct.then(|| format!("{}/api/repos/{}", self.ask.context.base.server, repository.key()))
    }

    /// The URL of the files of `shown`, with access to the files of `owner` there.
    fn files(self, shown: &Repository, owner: &Repository, address: String) -> Option<(String, ReadGrant)> {
        let right = shown.access().read_docs(&self.ask.caller).ok()?;
        Some((address, right_to(shown, owner, &right)?.clone()))
    }

    /// The virtual repository through which the packages of a repository without a path of its own are available.
    fn view(self, of: &Repository) -> Option<&'a Repository> {
        let may_read = |one: &&Repository| one.access().read_api(&self.ask.caller).is_ok();
        let views = self.ask.context.catalog.iter().filter(|one| one.identity().direct && has(one, of));
        views.filter(may_read).min_by(|one, other| one.key().cmp(other.key()))
    }

    /// How a project's dependency refers to the repository `shown`.
    pub(super) fn source(self, shown: &'a Repository) -> DependencySource<'a> {
        let root = &self.ask.context.base.root;
        let (key, name) = (shown.key().as_str(), shown.name().as_str());
        // Clients verify an organization with the public key of the root repository, and expect the organization's
        // name.
        let verifies = match root.signature() {
            SignedBy::Own => true,
            SignedBy::Upstream => {
                let upstream = SignedBy::Upstream;
                shown.signature() == upstream && shown.public_key(upstream) == root.public_key(upstream)
            }
        };
        match name {
            "hexpm" => DependencySource::Default,
            _ if root.name().as_str() == "hexpm" && key == name && shown.identity().direct && verifies => {
                DependencySource::Organization(key)
            }
            _ => DependencySource::Repository(name),
        }
    }
}

/// Whether `asked` is `owner` or contains it as a member.
fn has(asked: &Repository, owner: &Repository) -> bool {
    asked.is(owner) || asked.as_virtual().is_some_and(|composed| composed.has_member(owner.key()))
}

/// The part of an access grant to `shown` that covers `owner`.
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

    /// The URL of a release's documentation; `None` if the caller cannot download it.
    pub(super) fn docs(&self, name: &str, version: &str) -> Option<String> {
        let (files, right) = self.files.as_ref()?;
        let file = format!("{name}-{version}.tar.gz");
        right.packages().allows(name).then(|| format!("{files}/docs/{}", segment(&file)))
    }
}
