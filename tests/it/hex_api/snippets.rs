//! Lines to copy into a project: by the name under which clients know the repository.

use reqwest::Method;

use crate::support::hub::{Hub, Wishes};
use crate::support::local::{package, requires};

#[tokio::test(flavor = "multi_thread")]
async fn lines_to_copy_name_the_repository_as_clients_know_it() {
    let remote = "type: remote, url: \"{url}\", public_key: \"{key}\"";
    for (instead, repository, line) in [
        // Signed by the key that clients hold for the root: an organization of it.
        (
            vec![format!("hexpm: {{ {remote}, signature: own }}"), "team: { type: local }".to_owned()],
            "team",
            ", organization: \"team\"",
        ),
        // Passed on as it is signed upstream, so what is signed here is no organization of it.
        (vec![format!("hexpm: {{ {remote} }}"), "team: { type: local }".to_owned()], "team", ", repo: \"team\""),
        // Its packages say that they come from another one.
        (
            vec![format!("hexpm: {{ {remote}, signature: own }}"), "team: { type: local, name: ours }".to_owned()],
            "ours",
            ", repo: \"ours\"",
        ),
        (vec!["hexpm: { type: local }".to_owned(), "team: { type: local, name: hexpm }".to_owned()], "hexpm", ""),
    ] {
        let hub = Hub::with(Wishes { instead: instead.clone(), ..Wishes::default() }).await;
        let root = hub.user("root", true).await;
        // What a package depends on is in none of its lines.
        let depends = requires("team_core", repository);
        for (name, app, more) in [("team_core", "core", ""), ("web", "web", &depends)] {
            let tarball = package(name, "1.2.3", &format!("{{<<\"app\">>,<<\"{app}\">>}}.\n{more}"));
            let answer = hub.publish_to("team", &root, name, tarball).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            let (hex, pkg) = if app == name {
                (String::new(), String::new())
            } else {
                (format!(", hex: :{name}"), format!(", {{pkg, {name}}}"))
            };
            for path in
                [format!("/api/repos/team/packages/{name}"), format!("/api/repos/team/packages/{name}/releases/1.2.3")]
            {
                let configs = hub.api(Method::GET, &path, &root, None).await.json()["configs"].clone();
                assert_eq!(configs["mix.exs"], format!("{{:{app}, \"~> 1.2\"{hex}{line}}}"), "{instead:?}");
                assert_eq!(configs["rebar.config"], format!("{{{app}, \"1.2.3\"{pkg}}}"));
                assert_eq!(configs["erlang.mk"], format!("dep_{name} = hex 1.2.3"));
                assert_eq!(configs["gleam.toml"], format!("{name} = \"1.2.3\""));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_without_a_description_can_be_printed() {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    let tarball = package("core", "1.0.0", "{<<\"description\">>,undefined}.");
    assert_eq!(hub.publish_to_acme(&root, "core", tarball).await.status, 201);
    let list = hub.api(Method::GET, "/api/repos/acme/packages?search=core", &root, None).await.json();
    // rebar3 takes what it prints for a text.
    for field in ["/0/name", "/0/meta/description", "/0/html_url", "/0/releases/0/version"] {
        assert!(list.pointer(field).is_some_and(|value| value.is_string()), "{field}: {list}");
    }
}
