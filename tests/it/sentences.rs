//! What commands say: in plain English, of what they were asked about, and nothing that is not so.

use super::support::process::{Home, said};
use super::support::site::Site;

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local }\n";

#[test]
fn orders_about_accounts_name_whom_they_are_about() {
    let home = Home::new(CONFIG);
    for (order, code, sentence) in [
        ("user add alice --admin --no-password", 0, "created user alice"),
        ("user add bob --no-password", 0, "created user bob"),
        ("user add bob --no-password", 1, "hexkeep: the name `bob` is already in use by a user or an organization"),
        (
            "user add b,b --no-password",
            1,
            "hexkeep: username: has invalid format: use only lower-case letters, digits, `_`, `-` and `.`",
        ),
        (
            "user add carol",
            1,
            "hexkeep: no password: standard input is not a terminal, and its first line is empty; write the password there",
        ),
        ("user demote alice", 1, "hexkeep: `alice` is the last active administrator; promote another user first"),
        ("user promote bob", 0, "promoted user bob to administrator"),
        ("user demote bob", 0, "demoted user bob: no longer an administrator"),
        ("user deactivate nobody", 1, "hexkeep: there is no user `nobody`"),
        ("org add acme --admin alice", 0, "created organization acme"),
        ("org add acme", 1, "hexkeep: the name `acme` is already in use by a user or an organization"),
        ("org add empty --admin nobody", 1, "hexkeep: there is no user `nobody`"),
        ("org member acme nobody", 1, "hexkeep: there is no user `nobody`"),
        ("org member nowhere alice", 1, "hexkeep: there is no organization `nowhere`"),
        ("org remove-member acme bob", 1, "hexkeep: `bob` is not a member of `acme`"),
        ("org member acme bob --role write", 0, "bob is now a member of acme with the role write"),
        (
            "org remove-member acme alice",
            1,
            "hexkeep: `alice` is the last administrator of `acme`; give another member the role `admin` first",
        ),
        ("org remove-member acme bob", 0, "removed bob from acme"),
        ("key create laptop --user nobody --permission api", 1, "hexkeep: there is no user `nobody`"),
        (
            "key create laptop --user bob --permission api",
            0,
            "created key laptop; save it now, because it cannot be shown again",
        ),
        ("key revoke desktop --user bob", 1, "hexkeep: `bob` has no key `desktop`"),
        ("key revoke laptop --user bob", 0, "revoked key laptop"),
        ("grant add acme --user bob", 0, "granted read access to * in acme"),
        ("grant remove acme --user bob", 0, "revoked read access to * in acme"),
        ("grant remove acme --user bob", 1, "hexkeep: `bob` has no such grant; `hexkeep grant list` shows all grants"),
        ("audit nope", 1, "hexkeep: there is no repository `nope`, and the audit log has no entry about it"),
        ("audit acme", 0, ""),
    ] {
        let told = home.run(&order.split(' ').collect::<Vec<_>>());
        assert_eq!((told.code, told.stderr.trim_end()), (code, sentence), "{order}");
    }
}

#[test]
fn what_only_tells_of_a_store_makes_none() {
    let home = Home::new(CONFIG);
    let sentence = format!(
        "hexkeep: there is no store in {}; select the configuration file with --config, or run the command in the directory \
         of the server\n",
        home.data().display()
    );
    for order in [
        "stats",
        "who-has jason",
        "audit",
        "user list",
        "org list",
        "grant list",
        "key list --user alice",
        "policy report acme",
        "policy waivers acme",
    ] {
        let told = home.run(&order.split(' ').collect::<Vec<_>>());
        assert_eq!(told, said(1, "", &sentence), "{order}");
        assert!(!home.data().exists(), "{order} has made a store");
    }
}

#[test]
fn an_empty_variable_names_no_configuration() {
    let home = Home::new(CONFIG);
    let told = home.run_with(&["check-config"], &[("HEXKEEP_CONFIG", "")]);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
    assert!(told.stdout.contains("default repository `hexpm`"), "the built-in defaults: {told:?}");
    assert_ne!(home.run_with(&["--config", "", "check-config"], &[]).code, 0, "an empty name of a file is a mistake");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_of_a_daemon_says_how_clients_verify_what_it_signs() {
    let site = Site::with(&[("jason", "1.0.0")], 100, ", signature: own").await;
    site.publish();
    let (_, log) = site.home.serve().stop();
    assert!(log.contains("mix hex.repo set hexpm --url http://127.0.0.1"), "{log}");
    assert!(log.contains("--public-key FILE") && !log.contains("HEX_MIRROR_URL"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_sizes_are_written_as_people_write_them() {
    let site = Site::with(&[("jason", "1.0.0")], 100 * 1024, "").await;
    site.publish();
    site.lock("mix.lock", &[("jason", "1.0.0"), ("jason", "1.0.0")]);
    let brought = site.home.run(&["prefetch", "--lock", "mix.lock"]);
    assert!(brought.stdout.starts_with("0 releases were already in the cache, 1 was downloaded ("), "{brought:?}");
    let again = site.home.run(&["prefetch", "--lock", "mix.lock"]);
    assert!(again.stdout.starts_with("1 release was already in the cache, 0 were downloaded ("), "{again:?}");
    let stats = site.home.run(&["stats"]);
    assert!(stats.stdout.contains("hexpm: 1 package, 1 tarball of 10"), "{stats:?}");
    assert!(stats.stdout.contains("KiB") && !stats.stdout.contains("bytes"), "{stats:?}");
    let gone = site.home.run(&["gc", "--unused-for", "1h", "--keep-latest", "1"]);
    assert!(gone.stdout.starts_with("0 files (0 bytes) were removed; 1 ("), "{gone:?}");
    assert!(gone.stdout.ends_with(" bytes) remains\n"), "{gone:?}");
}
