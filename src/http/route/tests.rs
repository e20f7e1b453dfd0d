//! Tests of routing.

use proptest::prelude::*;

use super::*;

/// The default repository has the key `upstream`; clients call it `hexpm`.
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
        RouteTarget::Resource(route) => Ok((route.repository, route.resource.path())),
        other => panic!("{path} is not a resource: {other:?}"),
    }
}

fn resource(host: Option<&str>, path: &str) -> Route<String> {
    match route(&NAMES, host, path) {
        Ok(RouteTarget::Resource(route)) => route,
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
        let Ok(RouteTarget::Api(found)) = route(&NAMES, None, path) else { panic!("{path}") };
        let seen = (found.repository.as_deref(), found.named, found.path.as_str());
        assert_eq!(seen, (repository, named, rest), "{path}");
    }
}

#[test]
fn what_is_below_ui_is_kept_for_pages() {
    let names = Names(&["upstream", "acme", "ui"]);
    for host in [None, Some("acme.example")] {
        for path in ["/ui", "/ui/", "/ui/names", "/ui/packages/jason", "/ui/repos/acme/names", "/ui/api/packages"] {
            assert_eq!(route(&names, host, path), Err(NoRoute::Path(RouteError::UnknownPath)), "{path}");
        }
        for path in ["/oauth/device", "/ui/second-factor", "//ui//second-factor/"] {
            assert!(matches!(route(&names, host, path), Ok(RouteTarget::Page(_))), "{path}");
        }
    }
    for path in ["/repos/ui/names", "/repos/hexpm:ui/names"] {
        let Ok(RouteTarget::Resource(found)) = route(&names, None, path) else { panic!("{path}") };
        assert_eq!(found.repository, "ui", "{path}");
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
            Ok(RouteTarget::Resource(found)) => {
                let again = resource(None, &format!("/{}", found.resource.path()));
                prop_assert_eq!(again.resource, found.resource);
            }
            Ok(RouteTarget::Api(found)) => {
                let Ok(RouteTarget::Api(again)) = route(&NAMES, None, &format!("/api{}", found.path)) else { panic!() };
                prop_assert!(again.path.len() <= found.path.len());
            }
            Ok(RouteTarget::Tarballs(_) | RouteTarget::Page(_)) | Err(_) => {}
        }
    }
}

#[test]
fn a_host_names_its_repository() {
    let Ok(RouteTarget::Api(found)) = route(&NAMES, Some("acme.example"), "/api/packages") else { panic!() };
    assert!(found.named && found.repository.as_deref() == Some("acme"), "{found:?}");
    assert_eq!((found.api.as_str(), found.files.as_deref()), ("/api", Some("")));
}

#[test]
fn the_api_knows_the_base_that_was_asked() {
    for (path, api, files) in [
        ("/api/packages", "/api", ""),
        ("/api/repos/acme/packages", "/api/repos/acme", "/repos/acme"),
        ("/repos/acme/api/packages", "/repos/acme/api", "/repos/acme"),
        ("/repos/acme/repos/upstream/api/packages", "/repos/acme/repos/upstream/api", "/repos/acme/repos/upstream"),
        ("/repos/acme/api/repos/upstream/packages", "/repos/acme/api/repos/upstream", "/repos/acme/repos/upstream"),
        ("/api/repos/hexpm:acme/packages", "/api/repos/hexpm%3Aacme", "/repos/hexpm%3Aacme"),
    ] {
        let Ok(RouteTarget::Api(found)) = route(&NAMES, None, path) else { panic!("{path}") };
        assert_eq!((found.api.as_str(), found.files.as_deref()), (api, Some(files)), "{path}");
    }
    // Files cannot be nested this deeply.
    let Ok(RouteTarget::Api(found)) = route(&NAMES, None, "/repos/acme/repos/upstream/api/repos/acme/packages") else {
        panic!()
    };
    assert_eq!((found.api.as_str(), found.files), ("/repos/acme/repos/upstream/api/repos/acme", None));
}
