//! From a request's host and path to a repository and a resource (interface §2). Pure, allocation-free until a name is
//! made.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::hex::resource::{Resource, RouteError};

/// No address has more segments than `repos/A/repos/B/api/repos/C/repos/D/packages/NAME/releases/VERSION/docs`, plus
/// one for what may come.
const MAX_SEGMENTS: usize = 15;

/// Bases nest once: `/repos/KEY` is a base, and `/repos/KEY/repos/NAME` an organization of it.
const MAX_NESTING: usize = 2;

/// What a segment of the API's own addresses is written with: what RFC 3986 leaves unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path, decoded.
type Segment<'a> = Cow<'a, str>;

/// Where a path leads.
#[derive(Clone, PartialEq, Eq)]
pub struct Route<R> {
    /// The repository of which the one that answers is an organization, or itself: clients verify with its key.
    pub base: R,
    /// The repository that answers.
    pub repository: R,
    /// What is asked of it.
    pub resource: Resource,
    /// The id of the signing key below whose address it is asked for; `None`: at the usual one.
    pub key: Option<String>,
}

impl<R> fmt::Debug for Route<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("resource", &self.resource).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// `/repos/NAME/…` of a name that is not configured.
    #[error("there is no such repository here")]
    UnknownRepository,
    /// Anything else.
    #[error(transparent)]
    Path(#[from] RouteError),
}

/// The repositories that routes lead to, by the names in paths.
pub trait Bases {
    /// A repository.
    type Repository: Clone;
    /// The repository that this host stands for.
    fn by_host(&self, host: &str) -> Option<Self::Repository>;
    /// The repository at the root of every other host.
    fn default_base(&self) -> Self::Repository;
    /// The repository with this key.
    fn by_key(&self, key: &str) -> Option<Self::Repository>;
}

/// Where an address of the API leads.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiRoute<R> {
    /// The repository below whose base the API was asked.
    pub base: R,
    /// The repository it is about; `None` where the address names one that is not configured.
    pub repository: Option<R>,
    /// Whether the address names a repository, or stands at the root of all.
    pub named: bool,
    /// What is left of the path: every segment decoded and then encoded once, with a slash in front.
    pub path: String,
}

impl<R> fmt::Debug for ApiRoute<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRoute").field("named", &self.named).field("path", &self.path).finish_non_exhaustive()
    }
}

/// A page for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// At which a user lets a program in.
    Device,
    /// At which a user sets a second factor up.
    SecondFactor,
}

/// What an address is one of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<R> {
    /// Of a repository's resources.
    Resource(Route<R>),
    /// Of the API.
    Api(ApiRoute<R>),
    /// A page for people.
    Page(Page),
    /// Of the folder of a repository's tarballs, into which one may be put.
    Tarballs(R),
}

/// Reads a request's target. `path` is as it came, percent-encoded, without the query.
pub fn route<B: Bases>(bases: &B, host: Option<&str>, path: &str) -> Result<Found<B::Repository>, NoRoute> {
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
    for _ in 0..MAX_NESTING {
        let ["repos", name, below @ ..] = rest else { break };
        base = repository;
        repository = organization(bases, &base, name, at_root).ok_or(NoRoute::UnknownRepository)?;
        rest = below;
        at_root = false;
    }
    if key.is_some() {
        // A key's address has what is signed, and the files that belong to it.
        return Ok(Found::Resource(Route { base, repository, resource: Resource::parse(rest)?, key }));
    }
    if let ["api", below @ ..] = rest {
        return Ok(Found::Api(api(bases, repository, !at_root, below)));
    }
    // Pages are the server's, on whatever host.
    match texts.as_slice() {
        ["oauth", "device"] => return Ok(Found::Page(Page::Device)),
        ["ui", "second-factor"] => return Ok(Found::Page(Page::SecondFactor)),
        _ => {}
    }
    if rest == ["tarballs"] {
        return Ok(Found::Tarballs(repository));
    }
    let resource = Resource::parse(rest)?;
    Ok(Found::Resource(Route { base, repository, resource, key }))
}

/// Reads what stands behind `api`. `repos/NAME` leads to a repository where something follows; alone it asks about it.
/// Clients that have `api/repos/NAME` as their whole base write it twice.
fn api<B: Bases>(bases: &B, base: B::Repository, named: bool, segments: &[&str]) -> ApiRoute<B::Repository> {
    let mut route = ApiRoute { repository: Some(base.clone()), base, named, path: String::new() };
    let mut rest = segments;
    for _ in 0..MAX_NESTING {
        let ["repos", name, below @ ..] = rest else { break };
        if below.is_empty() {
            break;
        }
        let above = route.repository.take();
        route.repository = above.and_then(|above| organization(bases, &above, name, !route.named));
        route.named = true;
        rest = below;
    }
    for segment in rest {
        route.path.push('/');
        route.path.extend(utf8_percent_encode(segment, UNRESERVED));
    }
    if route.path.is_empty() {
        route.path.push('/');
    }
    route
}

/// The repository that `repos/NAME` means under a base. Clients write `hexpm` for the base itself, and `hexpm:ORG` for
/// an organization of it. At the root `/repos/hexpm` may also be the base of a repository with that key.
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

/// Splits and decodes a path. Empty segments are dropped: clients make `//` from a base that ends in a slash. A segment
/// that still holds an escape after decoding is decoded once more.
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

/// The host name in a `Host` header or request target: without its port, in lower case.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `hexpm` is what clients call the default repository here; its key is `upstream`.
    struct Names(&'static [&'static str]);

    impl Bases for Names {
        type Repository = String;
        fn by_host(&self, host: &str) -> Option<String> {
            (host == "acme.example").then(|| "acme".to_owned())
        }
        fn default_base(&self) -> String {
            "upstream".to_owned()
        }
        fn by_key(&self, key: &str) -> Option<String> {
            self.0.contains(&key).then(|| key.to_owned())
        }
    }

    const NAMES: Names = Names(&["upstream", "acme"]);

    fn at(path: &str) -> Result<(String, String), NoRoute> {
        match route(&NAMES, None, path)? {
            Found::Resource(route) => Ok((route.repository, route.resource.path())),
            other => panic!("{path} is no resource: {other:?}"),
        }
    }

    fn resource(host: Option<&str>, path: &str) -> Route<String> {
        match route(&NAMES, host, path) {
            Ok(Found::Resource(route)) => route,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn ok(repository: &str, path: &str) -> Result<(String, String), NoRoute> {
        Ok((repository.to_owned(), path.to_owned()))
    }

    #[test]
    fn bases_and_aliases() {
        for (path, repository) in [
            ("/packages/jason", "upstream"),
            ("//packages//jason", "upstream"),
            ("/x/../packages/jason", "none"),
            ("/repos/acme/packages/jason", "acme"),
            ("/repos/upstream/packages/jason", "upstream"),
            ("/repos/hexpm/packages/jason", "upstream"),
            ("/repos/hexpm:acme/packages/jason", "acme"),
            ("/repos/hexpm%3Aacme/packages/jason", "acme"),
            ("/repos/acme/repos/upstream/packages/jason", "upstream"),
            ("/repos/acme/repos/hexpm/packages/jason", "acme"),
        ] {
            if repository == "none" {
                assert_eq!(at(path), Err(NoRoute::Path(RouteError::UnknownPath)), "{path}");
            } else {
                assert_eq!(at(path), ok(repository, "packages/jason"), "{path}");
            }
        }
        let route = resource(Some("acme.example"), "/names");
        assert_eq!((route.base.as_str(), route.repository.as_str()), ("acme", "acme"));
    }

    #[test]
    fn an_organization_knows_its_base() {
        for (path, base, repository) in [
            ("/names", "upstream", "upstream"),
            ("/repos/acme/names", "upstream", "acme"),
            ("/repos/hexpm/names", "upstream", "upstream"),
            ("/repos/acme/repos/upstream/names", "acme", "upstream"),
        ] {
            let found = resource(None, path);
            assert_eq!((found.base.as_str(), found.repository.as_str()), (base, repository), "{path}");
        }
    }

    #[test]
    fn a_key_has_an_address_for_every_resource_and_nothing_else() {
        for (path, key, base, repository) in [
            ("/keys/k1/names", "k1", "upstream", "upstream"),
            ("/keys/k1/repos/acme/packages/jason", "k1", "upstream", "acme"),
            ("/keys/old-2/repos/acme/repos/hexpm/tarballs/a-1.0.0.tar", "old-2", "acme", "acme"),
        ] {
            let found = resource(None, path);
            let seen = (found.key.as_deref(), found.base.as_str(), found.repository.as_str());
            assert_eq!(seen, (Some(key), base, repository), "{path}");
        }
        assert_eq!(resource(Some("acme.example"), "/keys/k1/names").repository, "acme");
        assert_eq!(resource(None, "/names").key, None);
        for path in [
            "/keys",
            "/keys/k1",
            "/keys/k1/api/packages",
            "/keys/k1/keys/k1/names",
            "/keys/k1/tarballs",
            "/repos/acme/keys/k1/names",
        ] {
            assert_eq!(route(&NAMES, None, path), Err(NoRoute::Path(RouteError::UnknownPath)), "{path}");
        }
    }

    #[test]
    fn where_nothing_is() {
        assert_eq!(at("/repos/nobody/packages/jason"), Err(NoRoute::UnknownRepository));
        assert_eq!(at("/repos/acme/repos/acme/repos/acme/names"), Err(NoRoute::Path(RouteError::UnknownPath)));
        for path in ["/", "", "/packages", "/packages/jason/more", "/1/2/3/4/5/6/7/8/9", "/tarballs/%ff"] {
            assert!(at(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_api_knows_what_it_is_about() {
        for (path, repository, named, rest) in [
            ("/api", Some("upstream"), false, "/"),
            ("/api/packages", Some("upstream"), false, "/packages"),
            ("//api//packages/jason", Some("upstream"), false, "/packages/jason"),
            ("/api/repos", Some("upstream"), false, "/repos"),
            ("/api/repos/acme", Some("upstream"), false, "/repos/acme"),
            ("/api/repos/acme/packages", Some("acme"), true, "/packages"),
            ("/api/repos/hexpm:acme/packages", Some("acme"), true, "/packages"),
            ("/api/repos/hexpm/packages", Some("upstream"), true, "/packages"),
            ("/api/repos/acme/repos/hexpm/packages/a", Some("acme"), true, "/packages/a"),
            ("/api/repos/acme/repos/acme/packages/a", Some("acme"), true, "/packages/a"),
            ("/api/repos/nobody/packages/a", None, true, "/packages/a"),
            ("/repos/acme/api/publish", Some("acme"), true, "/publish"),
            ("/api/packages/a/owners/joe%252Ba%2540x.y", Some("upstream"), false, "/packages/a/owners/joe%2Ba%40x.y"),
            ("/api/packages/a/owners/joe+a@x.y", Some("upstream"), false, "/packages/a/owners/joe%2Ba%40x.y"),
        ] {
            let Ok(Found::Api(found)) = route(&NAMES, None, path) else { panic!("{path}") };
            let seen = (found.repository.as_deref(), found.named, found.path.as_str());
            assert_eq!(seen, (repository, named, rest), "{path}");
        }
    }

    #[test]
    fn build_metadata_in_every_spelling() {
        for path in ["/tarballs/a-1.0.0+b.tar", "/tarballs/a-1.0.0%2Bb.tar", "/tarballs/a-1.0.0%252Bb.tar"] {
            assert_eq!(at(path), ok("upstream", "tarballs/a-1.0.0+b.tar"), "{path}");
        }
    }

    #[test]
    fn host_names_are_compared_without_port_and_case() {
        for (authority, host) in [
            ("Acme.Example:4000", "acme.example"),
            ("acme.example", "acme.example"),
            ("acme.example.", "acme.example"),
            ("[::1]:4000", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_name(authority), host);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_and_what_is_routed_spells_itself_again(path in "\\PC{0,60}") {
            match route(&NAMES, None, &path) {
                Ok(Found::Resource(found)) => {
                    let again = resource(None, &format!("/{}", found.resource.path()));
                    prop_assert_eq!(again.resource, found.resource);
                }
                Ok(Found::Api(found)) => {
                    let Ok(Found::Api(again)) = route(&NAMES, None, &format!("/api{}", found.path)) else { panic!() };
                    prop_assert!(again.path.len() <= found.path.len());
                }
                Ok(Found::Tarballs(_) | Found::Page(_)) | Err(_) => {}
            }
        }
    }
}
