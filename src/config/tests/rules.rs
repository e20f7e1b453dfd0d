//! What keys mean: defaults that depend on others, rules between repositories, credentials, overrides, advice.

use std::time::Duration;

use super::*;
use crate::config::settings::{
    ChecksumChanges, CredentialSource, DependencyCheck, Mutability, RepositorySettings, as_limit,
};
use crate::config::unreloadable_changes;
use crate::secret::Secret;
use crate::trust::PublicKey;

#[test]
fn the_public_url_follows_the_listener() {
    assert_eq!(settings("server: {listen: 127.0.0.1:99}").server.public_url, "http://127.0.0.1:99");
    assert_eq!(settings("server: {listen: \"[::1]:99\"}").server.public_url, "http://[::1]:99");
    assert_eq!(
        settings("server: {public_url: \"HTTPS://Hex.Example.com/sub/\"}").server.public_url,
        "https://hex.example.com/sub"
    );
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "c.pem", "x");
    write(folder.path(), "k.pem", "x");
    write(folder.path(), "conf/hexkeep.yaml", "server: {tls: {cert: ../c.pem, key: ../k.pem}}");
    let server = load(Source::File("conf/hexkeep.yaml".into()), [], folder.path()).unwrap().settings.server;
    assert_eq!(server.public_url, "https://127.0.0.1:4000");
    assert_eq!(server.tls.unwrap().cert, folder.path().join("conf/../c.pem"));
}

#[test]
fn both_listeners_may_have_port_zero() {
    settings("server: {listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0}");
    settings("server: {listen: 127.0.0.1:5, ops_listen: 127.0.0.2:5}");
}

#[test]
fn a_single_address_is_a_network() {
    let server = settings(
        "server: {trusted_proxies: [10.1.2.3, \"::1\", 10.1.2.3/8, \"::ffff:10.9.9.9/104\", \"::ffff:192.0.2.1\"]}",
    )
    .server;
    let networks: Vec<String> = server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.1.2.3/32", "::1/128", "10.0.0.0/8", "10.0.0.0/8", "192.0.2.1/32"]);
}

#[test]
fn a_limit_of_zero_is_none() {
    let text = "server: {max_connections: 0}\nstorage: {cache_limit: 0, memory_limit: 0}\n\
                auth: {rate_limits: {per_account: 0, per_address: 0, failed_logins: 0}}\n\
                repositories:\n  hexpm: {type: remote, url: \"https://repo.hex.pm\", concurrency: 0, \
                mirror: {schedule: 15m, connections: 0, rate: 0}}\n";
    let settings = settings(text);
    assert_eq!(as_limit(settings.server.max_connections), usize::MAX);
    assert_eq!(settings.storage.cache_limit.as_limit().bytes(), u64::MAX);
    assert_eq!((as_limit(0), as_limit(7)), (usize::MAX, 7));
}

#[test]
fn hexpm_is_one_repository() {
    let taken = "default_repository: upstream\nrepositories:\n  upstream: {type: remote, url: \"https://repo.hex.pm\", name: hexpm}\n  hexpm: {type: remote, url: \"https://repo.hex.pm\"}\n";
    assert!(
        problems(taken)
            .starts_with("t.yaml:4:3: repositories.hexpm: the default repository `upstream` has the name hexpm"),
        "{}",
        problems(taken)
    );
    // Under a default of another name, hexpm is free.
    settings(&taken.replace(", name: hexpm", ""));
}

#[test]
fn a_host_serves_one_repository() {
    let text = "repositories:\n  hexpm: {type: remote, url: \"https://repo.hex.pm\", hosts: [Hex.Example.com]}\n  acme: {type: remote, url: \"https://repo.hex.pm\", hosts: [hex.example.com]}\n";
    assert_eq!(
        problems(text),
        "t.yaml:3:60: repositories.acme.hosts[0]: the host `hex.example.com` is already used by repositories.hexpm.hosts[0]; a host can serve only one repository"
    );
}

#[test]
fn hexpms_key_is_known_where_hexpm_signs() {
    for url in
        ["https://repo.hex.pm", "https://REPO.hex.pm/", "https://repo.hex.pm:443", "https://repo.hex.pm/repos/acme"]
    {
        let settings = settings(&acme(&format!("url: \"{url}\"")));
        assert_eq!(remote(&settings, "acme").public_keys, [PublicKey::hexpm()], "{url}");
    }
}

#[test]
fn a_key_is_a_word_a_text_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let pem = PublicKey::hexpm().to_spki_pem().to_owned();
    write(folder.path(), "hexpm", &pem);
    let block = pem.lines().map(|line| format!("      {line}\n")).collect::<String>();
    for key in ["hexpm".to_owned(), "./hexpm".to_owned(), "[hexpm]".to_owned(), format!("|\n{block}")] {
        let text = format!("repositories:\n  hexpm:\n    type: remote\n    url: https://h\n    public_key: {key}\n");
        let source = Source::Text { text, base_dir: folder.path().to_owned(), name: "t".into() };
        let settings = load(source, [], folder.path()).unwrap().settings;
        assert_eq!(remote(&settings, "hexpm").public_keys, [PublicKey::hexpm()], "{key}");
    }
}

#[test]
fn checksum_changes_have_a_window_where_hexpm_signs_in_public() {
    let settings = load_with(
        "repositories:\n  hexpm: {type: remote, url: \"https://repo.hex.pm\"}\n  org: {type: remote, url: \"https://repo.hex.pm/repos/org\", credentials: {env: KEY}}\n",
        &[("KEY", "abc")],
    )
    .unwrap()
    .settings;
    assert_eq!(remote(&settings, "hexpm").checksum_changes, ChecksumChanges::Window);
    assert_eq!(remote(&settings, "org").checksum_changes, ChecksumChanges::Allow);
}

#[test]
fn credentials_are_resolved_when_loaded() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "token", "  Bearer abc \n");
    write(folder.path(), "blank", " \n");
    let with = |credentials: &str| {
        let text = acme(&format!("url: \"https://repo.hex.pm\", credentials: {{{credentials}}}"));
        let source = Source::Text { text, base_dir: folder.path().to_owned(), name: "t".into() };
        load(source, environment(&[("TOKEN", "abc"), ("BLANK", " ")]), folder.path())
    };
    let found = with("file: token").unwrap().settings;
    assert_eq!(remote(&found, "acme").credential, Some(Secret::new("Bearer abc")));
    assert_eq!(remote(&found, "acme").credentials, Some(CredentialSource::File(folder.path().join("token"))));
    let found = with("env: TOKEN").unwrap().settings;
    assert_eq!(remote(&found, "acme").credential, Some(Secret::new("abc")));
    assert_eq!(remote(&found, "acme").credentials, Some(CredentialSource::Env("TOKEN".into())));
    let nowhere = format!("credentials.file: cannot read `{}`", folder.path().join("nowhere").display());
    for (credentials, expected) in [
        ("file: nowhere", "credentials.file: cannot read `credentials.file`"),
        ("file: ./nowhere", nowhere.as_str()),
        ("file: blank", "credentials.file: the credential is empty"),
        ("env: NOWHERE", "credentials.env: there is no environment variable with this name"),
        ("env: BLANK", "credentials.env: the credential is empty"),
    ] {
        let error = with(credentials).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn credentials_are_not_shared_with_the_world_by_accident() {
    let text = |listen: &str, more: &str| {
        format!(
            "server: {{listen: \"{listen}\"}}\n{}",
            acme(&format!("url: \"https://repo.hex.pm\", credentials: {{env: KEY}}{more}"))
        )
    };
    let open = |text: &str| {
        let loaded = load_with(text, &[("KEY", "abc")]).unwrap();
        remote(&loaded.settings, "acme").common.anonymous_read
    };
    assert!(!open(&text("127.0.0.1:1", "")), "private where nothing is written");
    assert!(!open(&text("0.0.0.0:1", "")));
    assert!(open(&text("0.0.0.0:1", ", anonymous_read: true")));
    assert!(remote(&settings("{}"), "hexpm").common.anonymous_read, "without credentials everybody may read");
    // A credential that cannot be resolved is a credential all the same.
    assert_eq!(load_with(&text("0.0.0.0:1", ""), &[]).unwrap_err().problems.len(), 1);
}

#[test]
fn patterns_choose_packages() {
    let settings = settings(&acme(
        "url: \"https://repo.hex.pm\", include: [\"acme_*\", \"plug?\", \"[a-c]x\"], exclude: [acme_old]",
    ));
    let remote = remote(&settings, "acme");
    for (name, included) in
        [("acme_a", true), ("plugs", true), ("plug", false), ("bx", true), ("dx", false), ("jason", false)]
    {
        assert_eq!(remote.common.include.set.is_match(name), included, "{name}");
    }
    assert!(remote.common.exclude.set.is_match("acme_old"));
}

#[test]
fn the_environment_overrides_the_file_and_the_defaults() {
    let variables = [
        ("HEXKEEP_SERVER__LISTEN", "127.0.0.1:5"),
        ("HEXKEEP_SERVER__TRUSTED_PROXIES", "[10.0.0.0/8]"),
        ("HEXKEEP_STORAGE__PATH", "elsewhere"),
        ("HEXKEEP_REPOSITORIES__HEXPM__METADATA_TTL", "5s"),
        ("HEXKEEP_REPOSITORIES__HEXPM__INCLUDE", "[\"*\", a]"),
        ("HEXKEEP_CONFIG", "ignored"),
        ("HEXKEEP_TEST_X__Y", "ignored"),
    ];
    let defaults = load(Source::Defaults, environment(&variables), Path::new(BASE)).unwrap().settings;
    let text = load_with("server: {listen: 127.0.0.1:9}\nstorage:\nrepositories:\n", &variables).unwrap().settings;
    assert_eq!(defaults, text);
    assert_eq!(text.server.public_url, "http://127.0.0.1:5");
    assert_eq!(text.storage.path, Path::new("/base/elsewhere"));
    assert_eq!(remote(&text, "hexpm").metadata_ttl, Duration::from_secs(5));
    assert_eq!(remote(&text, "hexpm").common.include.patterns, ["*", "a"]);
}

#[test]
fn a_repository_can_be_overridden_as_a_whole_or_in_part() {
    let whole = ("HEXKEEP_REPOSITORIES__HEXPM", "{type: remote, url: \"https://h\", public_key: hexpm}");
    let part = ("HEXKEEP_REPOSITORIES__HEXPM__CREDENTIALS__ENV", "KEY");
    let loaded = load_with("{}", &[whole, part, ("KEY", "abc")]).unwrap().settings;
    assert_eq!(remote(&loaded, "hexpm").url, "https://h");
    assert_eq!(remote(&loaded, "hexpm").credential, Some(Secret::new("abc")));
    // What then is missing is missing in the document.
    let error = load_with("{}", &[("HEXKEEP_REPOSITORIES__HEXPM__URL", "https://h")]).unwrap_err().to_string();
    assert!(error.starts_with("t.yaml: repositories.hexpm.public_key: this key is missing"), "{error}");
}

#[test]
fn an_override_of_nothing_is_refused_by_its_name() {
    for (name, value, expected) in [
        ("HEXKEEP_SERVER__LISEN", "127.0.0.1:5", "server.lisen: unknown key; did you mean `listen`?"),
        ("HEXKEEP_SERVR__LISTEN", "127.0.0.1:5", "servr: unknown key; did you mean `server`?"),
        ("HEXKEEP_SERVER__LISTEN", "here", "server.listen: `here` is not an address"),
        ("HEXKEEP_SERVER__LISTEN__PORT", "5", "server.listen: expected a single value"),
        ("HEXKEEP_AUTH__BASICS", "true", "auth.basics: unknown key; did you mean `basic`?"),
        (
            "HEXKEEP_REPOSITORIES__ACME__URL",
            "https://h",
            "there is no repository with this key in the configuration file",
        ),
        ("HEXKEEP_REPOSITORIES__HEXPM__TYPE", "group", "repositories.hexpm.type: `group` is not allowed here"),
    ] {
        let error = load_with("{}", &[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("environment variable {name}: {expected}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn problems_of_the_file_come_before_those_of_the_environment() {
    let error = load_with("log: {level: loud}\n", &[("HEXKEEP_LOG__FORMAT", "xml")]).unwrap_err().to_string();
    let starts: Vec<&str> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["t.yaml:1:14", "environment variable HEXKEEP_LOG__FORMAT"]);
}

fn advice(text: &str) -> Vec<String> {
    load_with(text, &[("KEY", "abc")]).unwrap_or_else(|error| panic!("{error}")).advice
}

#[test]
fn a_sound_configuration_needs_no_advice() {
    assert_eq!(advice("{}"), Vec::<String>::new());
    assert_eq!(advice(&acme("url: \"https://repo.hex.pm/repos/acme\"")), Vec::<String>::new());
    assert_eq!(advice(&acme("url: \"http://127.0.0.1:9\", public_key: hexpm")), Vec::<String>::new());
}

#[test]
fn advice_names_what_is_perhaps_not_meant() {
    for (text, expected) in [
        (
            "server: {listen: 0.0.0.0:1, public_url: \"http://127.0.0.1:1\"}".to_owned(),
            "server.public_url: http://127.0.0.1:1 is a loopback address, but the server listens on 0.0.0.0:1",
        ),
        (
            "server: {listen: 0.0.0.0:1, public_url: \"http://localhost:1/x\"}".to_owned(),
            "server.public_url: http://localhost:1/x is a loopback address",
        ),
        (
            "server: {listen: \"[::]:1\"}".to_owned(),
            "server.public_url: http://[::]:1 is not an address that clients can use",
        ),
        (acme("url: \"http://h.example\", public_key: hexpm"), "repositories.acme.url: without TLS"),
        (
            format!(
                "server: {{listen: 0.0.0.0:1, public_url: \"http://h\"}}\n{}",
                acme("url: \"https://repo.hex.pm\", credentials: {env: KEY}, anonymous_read: true")
            ),
            "repositories.acme.anonymous_read: everybody with access to 0.0.0.0:1 can read `acme` with the credentials",
        ),
        (
            acme("url: \"https://repo.hex.pm\", signature: own"),
            "repositories.acme: it is not signed with the key that clients use for `hexpm` (at /)",
        ),
        (
            acme("url: \"https://repo.hex.pm\", name: other"),
            "repositories.acme: its packages belong to a repository with the name `other`",
        ),
    ] {
        let found = advice(&text);
        assert!(found.len() == 1 && found.iter().all(|line| line.starts_with(expected)), "{text}: {found:#?}");
    }
}

#[test]
fn everything_can_be_an_organization_of_what_is_signed_here() {
    let text = acme("url: \"https://repo.hex.pm\", hosts: [acme.example]")
        .replace("repo.hex.pm\"}", "repo.hex.pm\", signature: own}");
    // `acme` passes through and is a base, too, by its host: there `hexpm` does not verify.
    let found = advice(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(
            "repositories.hexpm: it is not signed with the key that clients use for `acme` (on acme.example)"
        ),
        "{found:#?}"
    );
}

#[test]
fn a_type_alone_makes_a_local_repository() {
    let found = settings("default_repository: acme\nrepositories: {acme: {type: local}}\n");
    let Some(RepositorySettings::Local(acme)) = found.repositories.get("acme") else { panic!("{found:?}") };
    assert_eq!(
        (acme.common.name.as_str(), acme.organization.as_str(), acme.common.anonymous_read),
        ("acme", "acme", false)
    );
    assert_eq!((acme.mutability, acme.dependency_check), (Mutability::Window, DependencyCheck::Virtual));
    assert!(acme.allow_new_packages && acme.allowed_dependency_repositories.is_none());
    assert_eq!(advice("default_repository: acme\nrepositories: {acme: {type: local}}\n"), Vec::<String>::new());
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let old = settings("{}");
    assert_eq!(unreloadable_changes(&old, &old), Vec::<&str>::new());
    let new = settings(
        "server: {listen: 127.0.0.1:1, ops_listen: 127.0.0.1:2, max_connections: 3, deadline: 4s}\nlog: {format: json, level: warn}\nstorage: {path: x, memory_limit: 1GiB, cache_limit: 1GiB}\n",
    );
    let expected = [
        "server.listen",
        "server.ops_listen",
        "server.max_connections",
        "log.format",
        "storage.path",
        "storage.memory_limit",
    ];
    assert_eq!(unreloadable_changes(&old, &new), expected);
    assert_eq!(
        unreloadable_changes(&old, &settings("server: {deadline: 4s}\nlog: {level: warn}\n")),
        Vec::<&str>::new()
    );
}

fn composed<'a>(settings: &'a Settings, key: &str) -> &'a crate::config::settings::VirtualSettings {
    settings.repositories.get(key).and_then(RepositorySettings::as_virtual).unwrap()
}

#[test]
fn the_drop_in_setup_has_its_defaults() {
    let found = settings(
        "default_repository: hexpm\nrepositories:\n  upstream: {type: remote, url: \"https://repo.hex.pm\", name: hexpm}\n  \
         acme: {type: local}\n  hexpm: {type: virtual, members: [acme, upstream]}\n",
    );
    let hexpm = composed(&found, "hexpm");
    let members: Vec<_> = hexpm.members.iter().map(|member| (member.repository.as_str(), member.private)).collect();
    assert_eq!(members, [("acme", true), ("upstream", false)]);
    assert!(!hexpm.common.anonymous_read, "a member is private");
    assert!(found.repositories.values().all(|one| one.common().direct), "no reserve, no policy");
}

#[test]
fn what_is_private_and_open_follows_from_the_members() {
    let found = load_with(
        "default_repository: all\nrepositories:\n  upstream: {type: remote, url: \"https://repo.hex.pm\"}\n  \
         org: {type: remote, url: \"https://repo.hex.pm/repos/org\", credentials: {env: KEY}}\n  \
         plain: {type: virtual, members: [upstream]}\n  \
         all: {type: virtual, members: [org, {repository: plain, private: true}], reserve: [\"a*\"]}\n  \
         outer: {type: virtual, members: [plain]}\n",
        &[("KEY", "abc")],
    )
    .unwrap()
    .settings;
    let private = |key| composed(&found, key).members.iter().map(|member| member.private).collect::<Vec<_>>();
    assert_eq!((private("all"), private("plain")), (vec![true, true], vec![false]));
    let open = |key| composed(&found, key).common.anonymous_read;
    assert_eq!((open("plain"), open("all"), open("outer")), (true, false, true));
    // Behind a reserve, members answer through the virtual repository alone, and their members, too.
    let direct: Vec<_> = found.repositories.values().map(|one| (one.key().as_str(), one.common().direct)).collect();
    assert_eq!(direct, [("all", true), ("org", false), ("outer", true), ("plain", false), ("upstream", false)]);
}
