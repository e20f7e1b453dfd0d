//! Everything wrong is said at once, with its place, in words that help.

use super::*;

#[test]
fn ten_mistakes_are_ten_problems_in_one_run() {
    let text = r#"server:
  lisen: 127.0.0.1:4000
  deadline: 2m
  max_connections: "10"
log:
  level: chatty
storage:
  cache_limit: lots
auth: { sign_up: maybe }
default_repository: hexpm
repositories:
  hexpm:
    type: remote
    url: https://me:secret@repo.hex.pm
    include: ["[a"]
    metadata_ttl: 60
  acme:
    type: virtual
    members: [nowhere]
"#;
    let expected = r#"t.yaml:2:3: server.lisen: unknown key; did you mean `listen`?
t.yaml:3:13: server.deadline: `2m` is out of bounds; write a value from 1s to 1m
t.yaml:4:20: server.max_connections: expected a number or `true` or `false`, but found a text in quotes; remove the quotes
t.yaml:6:10: log.level: `chatty` is not allowed here; write one of `error`, `warn`, `info`, `debug`, `trace`
t.yaml:8:16: storage.cache_limit: `lots` is not a size; write a number of bytes with a unit, such as 512MiB or 50GiB
t.yaml:9:18: auth.sign_up: `maybe` is not allowed here; write `true` or `false`
t.yaml:14:10: repositories.hexpm.url: the URL must not contain a user name or password; remove them and use `credentials`
t.yaml:15:15: repositories.hexpm.include[0]: `[a` is not a valid pattern: `unclosed character class; missing ']'`; use characters that are allowed in names, `*`, `?` and classes such as `[a-f]`
t.yaml:16:19: repositories.hexpm.metadata_ttl: `60` is not a duration; write numbers with units, such as 500ms, 30s, 5m, 1h 30m or 30d
t.yaml:19:15: repositories.acme.members[0]: `nowhere` is not a repository of this configuration; write the key of a repository"#;
    assert_eq!(problems(text), expected);
}

#[test]
fn each_mistake_has_its_sentence_and_its_place() {
    for (text, expected) in [
        ("[1]", "t.yaml:1:1: expected a table"),
        ("server: 5", "t.yaml:1:9: server: expected a table"),
        ("server: {listen: localhost:4000}", "t.yaml:1:18: server.listen: `localhost:4000` is not an address"),
        ("server:\n  listen: [::1]", "t.yaml:2:11: server.listen: expected a single value"),
        ("server:\n  listen:\n  deadline: 3s", "t.yaml:2:3: server.listen: the key has no value"),
        (
            "server: {listen: 127.0.0.1:4001}",
            "t.yaml:1:18: server.listen: `listen` and `ops_listen` are both `127.0.0.1:4001`",
        ),
        ("server: {listen: 0.0.0.0:5, ops_listen: 127.0.0.1:5}", "t.yaml:1:41: server.ops_listen: `listen` and"),
        ("server: {tls: {cert: a}}", "t.yaml:1:22: server.tls.cert: cannot read `/base/a`: "),
        ("server: {tls: {}}", "t.yaml:1:10: server.tls.cert: this key is missing; write both"),
        ("server: {public_url: hex.example.com}", "server.public_url: the URL has no supported scheme"),
        ("server: {public_url: \"https://h/?a\"}", "server.public_url: the URL must not contain a query"),
        (
            "server: {public_url: \"https://a:b@h\"}",
            "server.public_url: the URL must not contain a user name or password",
        ),
        (
            "server: {trusted_proxies: [10.0.0.0/8, 10.0.0.0/33]}",
            "t.yaml:1:40: server.trusted_proxies[1]: `10.0.0.0/33` is not a network",
        ),
        ("server: {trusted_proxies: 10.0.0.0/8}", "server.trusted_proxies: expected a list"),
        ("storage: {path: \"\"}", "storage.path: the key has no value"),
        ("storage: {path: \"a\\0b\"}", "storage.path: this is not a path"),
        ("server: {max_connections: -1}", "`-1` is not a whole number"),
        ("server: {max_connections: 1000001}", "`1000001` is out of bounds; write a value from 1 to 1000000"),
        ("server: {max_connections: 99999999999999999999999}", "is out of bounds"),
        ("log: {format: xml}", "log.format: `xml` is not allowed here; write one of `text`, `json`"),
        ("storage: {cache_limit: 1kB}", "`1kB` is out of bounds; write a value from 1MiB to 1024TiB"),
        ("signing: {keys: []}", "signing.keys: the list is empty"),
        ("signing: {keys: [{file: null}]}", "signing.keys[0].id: this key is missing"),
        ("signing: {keys: [{id: K1}]}", "signing.keys[0].id: `K1` is not a valid id"),
        ("signing: {keys: [{id: k1}, {id: k1}]}", "signing.keys[1].id: another signing key has the id `k1`"),
        (
            "signing: {keys: [{id: a}, {id: b}]}",
            "signing.active: `k1` is not the id of a signing key; set `active` to one of `a`, `b`",
        ),
        ("signing: {keys: [{id: k1, file: nowhere.pem}]}", "signing.keys[0].file: cannot read `/base/nowhere.pem`: "),
        (
            "default_repository: acme",
            "t.yaml:1:21: default_repository: `acme` is not a repository of this configuration; set `default_repository` to one of `hexpm`",
        ),
        ("default_repository: Hexpm", "default_repository: \"Hexpm\" is not a repository name"),
        ("repositories: {}", "t.yaml:1:15: repositories: the table is empty"),
        (
            "repositories: {ui: {type: local}}",
            "t.yaml:1:16: repositories.ui: `ui` is reserved for the web pages of this server",
        ),
        (
            "repositories: {HEXPM: {type: remote}}",
            "t.yaml:1:16: repositories.HEXPM: \"HEXPM\" is not a repository name",
        ),
        (
            "repositories: {hexpm: {url: \"https://repo.hex.pm\"}}",
            "t.yaml:1:16: repositories.hexpm.type: this key is missing; write `type: remote`, `type: local` or `type: virtual`",
        ),
        ("repositories: {hexpm: {type: remote}}", "repositories.hexpm.url: this key is missing; write the base URL"),
        (
            "repositories: {hexpm: {type: remotely}}",
            "repositories.hexpm.type: `remotely` is not allowed here; write one of `remote`, `local`, `virtual`",
        ),
        (
            "repositories: {acme: {type: local, url: \"https://h\"}, hexpm: {type: remote, url: \"https://repo.hex.pm\"}}",
            "acme.url: this key is only for repositories of type `remote`, but this repository is of type `local`; remove the key",
        ),
        (
            "repositories: {hexpm: {type: local, organization: A.b}}",
            "hexpm.organization: `A.b` is not a valid name of an organization",
        ),
        (
            "repositories: {hexpm: {type: local, allowed_dependency_repositories: [other]}}",
            "repositories.hexpm.allowed_dependency_repositories: `other` is not a repository of this configuration",
        ),
        (
            "repositories: {hexpm: {type: local, dependency_aliases: {theirs: other}}}",
            "repositories.hexpm.dependency_aliases: `other` is not a repository of this configuration",
        ),
        (
            "repositories: {hexpm: {type: local, mutability: never}}",
            "hexpm.mutability: `never` is not allowed here; write one of `immutable`, `window`, `always`",
        ),
        ("auth: {rate_limits: {per_account: -1}}", "auth.rate_limits.per_account: `-1` is not a whole number"),
        ("auth: {totp: on}", "auth.totp: `on` is not allowed here; write one of `off`, `optional`, `required`"),
    ] {
        let found = problems(text);
        assert!(found.contains(expected), "{text}\nexpected: {expected}\n   found: {found}");
    }
}

#[test]
fn each_mistake_of_a_remote_has_its_sentence() {
    for (keys, expected) in [
        ("url: \"ftp://h\"", "acme.url: the URL has no supported scheme; begin it with `http://`, `https://`"),
        ("url: \"https://h?x=1\"", "acme.url: the URL must not contain a query"),
        (
            "url: \"https://h\"",
            "acme.public_key: this key is missing; packages cannot be verified without the public key of the upstream. Download it with: curl -o KEY.pem https://h/public_key",
        ),
        ("url: \"http://repo.hex.pm\"", "acme.public_key: this key is missing"),
        ("url: \"https://repo.hex.pm/repos/a/b\"", "acme.public_key: this key is missing"),
        ("url: \"https://h\", public_key: []", "acme.public_key: the list is empty"),
        (
            "url: \"https://h\", public_key: [hexpm, hexpm]",
            "acme.public_key[1]: this public key is already in the list",
        ),
        ("url: \"https://h\", public_key: key.pem", "acme.public_key: cannot read `/base/key.pem`"),
        ("url: \"https://h\", public_key: /", "acme.public_key: `/` is not a file"),
        (
            "url: \"https://h\", public_key: \"-----BEGIN PUBLIC KEY-----\\nAAAA\"",
            "acme.public_key: the text is not a valid public key: ",
        ),
        ("url: \"https://repo.hex.pm\", hosts: [\"https://h\"]", "acme.hosts[0]: `https://h` is not a host name"),
        (
            "url: \"https://repo.hex.pm\", hosts: [a.b, A.B]",
            "acme.hosts[1]: the host `a.b` is already used by repositories.acme.hosts[0]",
        ),
        ("url: \"https://repo.hex.pm\", include: []", "acme.include: with an empty list, no package would be served"),
        ("url: \"https://repo.hex.pm\", concurrency: 1025", "acme.concurrency: `1025` is out of bounds"),
        ("url: \"https://repo.hex.pm\", concurrency: 010", "acme.concurrency: `010` is not a whole number"),
        ("url: \"https://repo.hex.pm\", credentials: {file: /}", "acme.credentials.file: `/` is not a file"),
        (
            "url: \"https://repo.hex.pm\", mutability: always",
            "acme.mutability: this key is only for repositories of type `local`, but this repository is of type `remote`",
        ),
        (
            "url: \"https://repo.hex.pm\", anonymous_read: yes",
            "acme.anonymous_read: `yes` is not allowed here; write `true` or `false`",
        ),
        (
            "url: \"https://repo.hex.pm\", proxy: \"ftp://p\"",
            "acme.proxy: the URL has no supported scheme; begin it with `http://`, `https://`, `socks5://`",
        ),
        (
            "url: \"https://repo.hex.pm\", proxy: \"http://p/x\"",
            "acme.proxy: the URL of a proxy must not contain a path",
        ),
        (
            "url: \"https://repo.hex.pm\", metadata: all",
            "acme.metadata: `all` is not allowed here; write one of `lazy`, `full`",
        ),
        (
            "url: \"https://repo.hex.pm\", metadata-ttl: 5s",
            "acme.metadata-ttl: unknown key; did you mean `metadata_ttl`?",
        ),
        (
            "url: \"https://repo.hex.pm\", credentials: {}",
            "acme.credentials: the source of the credential is missing or ambiguous",
        ),
        (
            "url: \"https://repo.hex.pm\", credentials: {env: A, file: b}",
            "acme.credentials: the source of the credential is missing or ambiguous",
        ),
        (
            "url: \"https://repo.hex.pm\", credentials: {envy: A}",
            "acme.credentials.envy: unknown key; did you mean `env`?",
        ),
    ] {
        let found = problems(&acme(keys));
        assert!(found.contains(expected), "{keys}\nexpected: {expected}\n   found: {found}");
    }
}

#[test]
fn a_dump_of_advisories_is_read_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        write(folder.path(), name, text);
        folder.path().join(name).display().to_string()
    };
    let (empty, broken, sound) = (put("empty", ""), put("broken", "{"), put("sound", "[]"));
    for (advisories, expected) in [
        ("{}".to_owned(), "advisories.osv: this key is missing; write the path or URL of an advisory dump"),
        ("{osv: \"https://example.com/\"}".to_owned(), "advisories.osv: the URL has no file name"),
        ("{osv: \"ftp://example.com/all.zip\"}".to_owned(), "advisories.osv: the URL has no supported scheme"),
        ("{osv: \"https://a:b@example.com/all.zip\"}".to_owned(), "advisories.osv: "),
        (format!("{{osv: \"{empty}\"}}"), "is empty"),
        (format!("{{osv: \"{broken}\"}}"), "advisories.osv: this is not an advisory dump in OSV format: "),
        (format!("{{osv: \"{empty}.no\"}}"), "advisories.osv: cannot read "),
    ] {
        let found = problems(&acme(&format!("url: \"https://repo.hex.pm\", advisories: {advisories}")));
        assert!(found.contains(expected), "{advisories}\nexpected: {expected}\n   found: {found}");
    }
    let text = acme(&format!("url: \"https://repo.hex.pm\", advisories: {{osv: \"{sound}\"}}"));
    let advice = load_with(&text, &[]).unwrap().advice.join("\n");
    assert!(advice.contains("the dump has no advisory about a Hex package"), "{advice}");
    assert!(advice.contains("clients get the advisories only through virtual repositories"), "{advice}");
    let text = acme("url: \"https://repo.hex.pm\", signature: own, advisories: {osv: \"http://example.com/all.zip\"}");
    let advice = load_with(&text, &[]).unwrap().advice.join("\n");
    assert!(advice.contains("advisories.osv: the dump is not signed, so without TLS"), "{advice}");
}

#[test]
fn reading_licences_for_nobody_is_said() {
    let of = |rules: &str| {
        let all = "  all: {type: virtual, members: [acme]}\n  outer: {type: virtual, members: [all], policy: pol}\n";
        let policies = format!("policies:\n  pol: {{mode: dry_run, repositories: {{{rules}}}}}\n");
        let text = acme("url: \"https://repo.hex.pm\", metadata: full");
        load_with(&format!("{text}\n{all}{policies}"), &[]).unwrap().advice.join("\n")
    };
    let said =
        "repositories.acme.metadata: `full` has no effect, because no policy has rules about licences for `acme`";
    assert!(of("acme: {cooldown: 7d}").contains(said));
    for rules in ["acme: {licenses: {deny: [MIT]}}", "all: {licenses: {deny: [MIT]}}"] {
        assert!(!of(rules).contains(said), "{rules}");
    }
}

#[test]
fn a_bundle_key_that_is_none_is_said() {
    let found = problems("bundles: {trusted_keys: [\"SHA256:abc\"]}\n");
    assert!(
        found.contains("bundles.trusted_keys[0]: `SHA256:abc` is not the fingerprint of a bundle key; "),
        "{found}"
    );
}

#[test]
fn a_secret_is_in_no_message() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "two-lines", "s3cr3t\ns3cr3t\n");
    write(folder.path(), "private.pem", include_str!("../../trust/testdata/test-only-key.pem"));
    let two_lines = folder.path().join("two-lines");
    let private = folder.path().join("private.pem");
    for keys in [
        "url: \"https://x:s3cr3t@h\"",
        "url: \"https://x:s3cr3t@h?\"",
        "url: \"x:s3cr3t@h\"",
        "url: \"https://repo.hex.pm\", proxy: \"ftp://x:s3cr3t@h\"",
        "url: \"https://repo.hex.pm\", proxy: \"http://x:s3cr3t@h/path\"",
        "url: \"https://repo.hex.pm\", proxy: \"http://x:s3cr3t@h h\"",
        "url: \"https://repo.hex.pm\", credentials: s3cr3t",
        "url: \"https://repo.hex.pm\", credentials: [s3cr3t]",
        "url: \"https://repo.hex.pm\", credentials: {env: s3cr3t}",
        "url: \"https://repo.hex.pm\", credentials: {file: s3cr3t}",
        "url: \"https://repo.hex.pm\", credentials: {file: \"s3cr3t\\n\"}",
        "url: \"https://repo.hex.pm\", credentials: {env: BAD}",
        &format!("url: \"https://repo.hex.pm\", credentials: {{file: {}}}", two_lines.display()),
        &format!("url: \"https://repo.hex.pm\", public_key: {}", private.display()),
    ] {
        let error = load_with(&acme(keys), &[("BAD", "s3cr3t \u{7}")]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(!shown.contains("MII"), "{shown}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str| load(Source::File(name.into()), [], folder.path()).unwrap_err().to_string();
    assert!(load("nowhere.yaml").starts_with("nowhere.yaml: cannot read the file: "), "{}", load("nowhere.yaml"));
    assert!(load(".").starts_with(".: cannot read the file: "), "{}", load("."));
    write(folder.path(), "long.yaml", &"#\n".repeat(1 << 20));
    assert_eq!(load("long.yaml"), "long.yaml: the text is longer than 1048576 bytes; shorten it");
    write(folder.path(), "bad.yaml", "a: [\n");
    assert!(load("bad.yaml").starts_with("bad.yaml:2:1: this is not valid YAML"), "{}", load("bad.yaml"));
}

#[test]
fn each_key_that_could_be_meant_is_named_once() {
    let error = load_with("something: 1\n", &[]).unwrap_err().to_string();
    assert_eq!(["`server`", "`repositories`", "`policies`"].map(|key| error.matches(key).count()), [1; 3], "{error}");
}

#[test]
fn a_mirror_needs_a_schedule_and_an_upstream() {
    for (mirror, sentence) in [
        ("{ docs: true }", "mirror.schedule: this key is missing; write the time between runs"),
        ("{ schedule: 1s }", "mirror.schedule: "),
        ("{ schedule: 15m, latest: 0 }", "mirror.latest: "),
        ("{ schedule: 15m, rate: 1B }", "mirror.rate: "),
        ("{ schedule: 15m, pakages: [a] }", "did you mean `packages`?"),
        (
            "{ schedule: 15m }, network: offline",
            "no requests are sent to the upstream; remove `mirror`, or change `network`",
        ),
        ("yes", "expected a table"),
    ] {
        let said = problems(&acme(&format!("url: \"https://repo.hex.pm\", mirror: {mirror}")));
        assert!(said.contains(sentence), "{mirror}: {said}");
    }
}

#[test]
fn what_is_prefetched_is_a_word_and_needs_an_upstream() {
    for (prefetch, sentence) in [
        ("all", "prefetch: `all` is not allowed here; write one of `off`, `closure`"),
        ("closure, network: offline", "remove `prefetch`, or change `network`"),
    ] {
        let said = problems(&acme(&format!("url: \"https://repo.hex.pm\", prefetch: {prefetch}")));
        assert!(said.contains(sentence), "{prefetch}: {said}");
    }
}
