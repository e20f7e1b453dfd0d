//! From a request's host and path to a repository and a resource (interface §2). Pure, allocation-free until a name is
//! made.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use crate::hex::resource::{Resource, RouteError};

/// No address has more segments than `repos/A/repos/B/packages/NAME`, plus one for what may come.
const MAX_SEGMENTS: usize = 8;

/// Bases nest once: `/repos/KEY` is a base, and `/repos/KEY/repos/NAME` an organization of it.
const MAX_NESTING: usize = 2;

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
}

impl<R> fmt::Debug for Route<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// `/api/…`
    #[error("this version of hexkeep has no HTTP API")]
    Api,
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

/// Reads a request's target. `path` is as it came, percent-encoded, without the query.
pub fn route<B: Bases>(bases: &B, host: Option<&str>, path: &str) -> Result<Route<B::Repository>, NoRoute> {
    let segments = segments(path)?;
    let texts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let mut rest = texts.as_slice();
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
    if rest.first() == Some(&"api") {
        return Err(NoRoute::Api);
    }
    let resource = Resource::parse(rest)?;
    Ok(Route { base, repository, resource })
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
        route(&NAMES, None, path).map(|route| (route.repository, route.resource.path()))
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
        let route = route(&NAMES, Some("acme.example"), "/names").unwrap();
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
            let found = route(&NAMES, None, path).unwrap();
            assert_eq!((found.base.as_str(), found.repository.as_str()), (base, repository), "{path}");
        }
    }

    #[test]
    fn where_nothing_is() {
        assert_eq!(at("/repos/nobody/packages/jason"), Err(NoRoute::UnknownRepository));
        assert_eq!(at("/repos/acme/repos/acme/repos/acme/names"), Err(NoRoute::Path(RouteError::UnknownPath)));
        assert_eq!(at("/api/packages/jason"), Err(NoRoute::Api));
        assert_eq!(at("/repos/acme/api/publish"), Err(NoRoute::Api));
        for path in ["/", "", "/packages", "/packages/jason/more", "/1/2/3/4/5/6/7/8/9", "/tarballs/%ff"] {
            assert!(at(path).is_err(), "{path}");
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
            if let Ok(found) = route(&NAMES, None, &path) {
                let again = route(&NAMES, None, &format!("/{}", found.resource.path())).unwrap();
                prop_assert_eq!(again.resource, found.resource);
            }
        }
    }
}
