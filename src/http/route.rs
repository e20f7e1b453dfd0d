//! Routing: from the host and the path of a request to a repository and a resource (interface §2). Pure; allocates only
//! when it builds a name.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::auth::contains_secret;
use crate::hex::resource::{Resource, RouteError};
use crate::web::{self, PageAddress, Place};

/// The longest address, `repos/A/repos/B/api/repos/C/repos/D/packages/NAME/releases/VERSION/docs`, plus one segment for
/// extensions.
const MAX_SEGMENTS: usize = 15;

/// Bases can be nested once: `/repos/KEY` is a base, and `/repos/KEY/repos/NAME` an organization of it.
const MAX_NESTING: usize = 2;

/// The characters that need no escape in a segment of the API's path: the unreserved characters of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A decoded segment of a path.
type Segment<'a> = Cow<'a, str>;

/// The repository and the resource of a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Route<R> {
    /// The base of the repository: the repository of which it is an organization, or itself. Clients verify with its
    /// key.
    pub base: R,
    /// The repository that answers.
    pub repository: R,
    /// The requested resource.
    pub resource: Resource,
    /// The id of the signing key, if the path contains one.
    pub key: Option<String>,
}

impl<R> fmt::Debug for Route<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("resource", &self.resource).field("key", &self.key).finish_non_exhaustive()
    }
}

/// The reason why a path has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// `/repos/NAME/…` with a name that is not configured.
    #[error("this server has no repository of this name")]
    UnknownRepository,
    /// Any other path.
    #[error(transparent)]
    Path(#[from] RouteError),
}

/// Finds repositories by the names in paths.
pub trait Bases {
    /// A repository.
    type Repository: Clone;
    /// The repository of this host.
    fn by_host(&self, host: &str) -> Option<Self::Repository>;
    /// The repository at the root of all other hosts.
    fn default_base(&self) -> Self::Repository;
    /// The repository with this key.
    fn by_key(&self, key: &str) -> Option<Self::Repository>;
}

/// The repository and the path of an API request.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiRoute<R> {
    /// The repository whose base contains the API.
    pub base: R,
    /// The requested repository; `None` if the path contains one that is not configured.
    pub repository: Option<R>,
    /// Whether the path contains a repository, as opposed to the API at the root.
    pub named: bool,
    /// The rest of the path: every segment is decoded, then encoded once, with a leading slash.
    pub path: String,
    /// The path of the API as in the request: `/api/repos/acme`.
    pub api: String,
    /// The path of the repository's files below the same base: `/repos/acme`, or empty. `None` if the path is nested
    /// too deeply for files.
    pub files: Option<String>,
}

impl<R> fmt::Debug for ApiRoute<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRoute").field("named", &self.named).field("path", &self.path).finish_non_exhaustive()
    }
}

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget<R> {
    /// A resource of a repository.
    Resource(Route<R>),
    /// The API.
    Api(ApiRoute<R>),
    /// An HTML page.
    Page(PageAddress),
    /// The folder of a repository's tarballs, to which tarballs can be uploaded.
    Tarballs(R),
}

/// Routes a request. `path` is percent-encoded, without the query.
pub fn route<B: Bases>(bases: &B, host: Option<&str>, path: &str) -> Result<RouteTarget<B::Repository>, NoRoute> {
    // Nothing has a credential as its name, and no upstream may get to know one.
    if contains_secret(path) {
        return Err(RouteError::UnknownPath.into());
    }
    // Pages belong to the server, on every host.
    match web::find(path) {
        Place::Page(page) => return Ok(RouteTarget::Page(page)),
        Place::Unknown => return Err(RouteError::UnknownPath.into()),
        Place::Elsewhere => {}
    }
    let segments = segments(path)?;
    let texts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (key, mut rest) = match texts.as_slice() {
        ["keys", id, below @ ..] => (Some((*id).to_owned()), below),
        all => (None, all),
    };
    let by_host = host.and_then(|host| bases.by_host(host));
    let mut at_root = by_host.is_none();
    let mut base = by_host.unwrap_or_else(|| bases.default_base());
    let mut repository = base.clone();
    let mut names = Vec::new();
    for _ in 0..MAX_NESTING {
        let ["repos", name, below @ ..] = rest else { break };
        base = repository;
        repository = organization(bases, &base, name, at_root).ok_or(NoRoute::UnknownRepository)?;
        rest = below;
        at_root = false;
        names.push(*name);
    }
    if key.is_some() {
        // Below a key's path are only the signed resources and their files.
        return Ok(RouteTarget::Resource(Route { base, repository, resource: Resource::parse(rest)?, key }));
    }
    if let ["api", below @ ..] = rest {
        return Ok(RouteTarget::Api(api(bases, (repository, at_root), &names, below)));
    }
    if rest == ["tarballs"] {
        return Ok(RouteTarget::Tarballs(repository));
    }
    let resource = Resource::parse(rest)?;
    Ok(RouteTarget::Resource(Route { base, repository, resource, key }))
}

/// Routes the path after `api`. `repos/NAME` with more segments selects a repository; without them it is the resource
/// itself. Clients whose base URL is `api/repos/NAME` repeat it. `base` is the repository, and whether it is the one at
/// the root; `above` are the names that led to it.
fn api<B: Bases>(
    bases: &B,
    (base, mut at_root): (B::Repository, bool),
    above: &[&str],
    segments: &[&str],
) -> ApiRoute<B::Repository> {
    let mut names = Vec::new();
    let mut repository = Some(base.clone());
    let mut rest = segments;
    for _ in 0..MAX_NESTING {
        let ["repos", name, below @ ..] = rest else { break };
        if below.is_empty() {
            break;
        }
        repository = repository.and_then(|above| organization(bases, &above, name, at_root));
        at_root = false;
        names.push(*name);
        rest = below;
    }
    let mut path: String = rest.iter().map(|segment| segment_of(segment)).collect();
    if path.is_empty() {
        path.push('/');
    }
    let all: Vec<&str> = above.iter().chain(&names).copied().collect();
    let files = (all.len() <= MAX_NESTING).then(|| repos(&all));
    let api = format!("{}/api{}", repos(above), repos(&names));
    ApiRoute { base, repository, named: !at_root, path, api, files }
}

/// The path of nested repositories.
fn repos(names: &[&str]) -> String {
    names.iter().map(|name| format!("/repos{}", segment_of(name))).collect()
}

/// An encoded segment of a path, with a leading slash.
fn segment_of(text: &str) -> String {
    format!("/{}", utf8_percent_encode(text, UNRESERVED))
}

/// The repository of `repos/NAME` under a base. Clients write `hexpm` for the base itself, and `hexpm:ORG` for an
/// organization of it. At the root, `/repos/hexpm` may also be the base of a repository with that key.
fn organization<B: Bases>(bases: &B, base: &B::Repository, name: &str, at_root: bool) -> Option<B::Repository> {
    if name == "hexpm" && !at_root {
        return Some(base.clone());
    }
    let name = name.strip_prefix("hexpm:").unwrap_or(name);
    match bases.by_key(name) {
        Some(repository) => Some(repository),
        None if name == "hexpm" => Some(base.clone()),
        None => None,
    }
}

/// Splits and decodes a path. Empty segments are dropped, since clients produce `//` if their base URL ends in a slash.
/// A segment that still contains an escape is decoded a second time.
fn segments(path: &str) -> Result<Vec<Segment<'_>>, RouteError> {
    let mut segments = Vec::with_capacity(4);
    for raw in path.split('/').filter(|segment| !segment.is_empty()) {
        if segments.len() == MAX_SEGMENTS {
            return Err(RouteError::UnknownPath);
        }
        let once = decode(raw)?;
        let decoded = if once.contains('%') { Cow::Owned(decode(&once)?.into_owned()) } else { once };
        segments.push(decoded);
    }
    Ok(segments)
}

fn decode(text: &str) -> Result<Cow<'_, str>, RouteError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| RouteError::UnknownPath)
}

/// The host name in a `Host` header or a request target, without its port, in lower case.
pub fn host_name(authority: &str) -> Cow<'_, str> {
    let name = match authority.strip_prefix('[') {
        // An IPv6 address keeps its brackets.
        Some(_) => authority.split_inclusive(']').next().unwrap_or(authority),
        None => authority.split(':').next().unwrap_or(authority),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests;
