//! Who was delivered what, and who asked for what a policy holds.

use hexkeep::operations::commands::Account;

use super::*;

fn columns(line: &str) -> Vec<&str> {
    line.split('\t').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_release_is_known_by_credential_and_address_range() {
    let mut hub = start(Wishes {
        server: "trusted_proxies: [127.0.0.1]".to_owned(),
        more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
        ..Wishes::default()
    })
    .await;
    let alice = hub.user("alice", false).await;
    let ci = hub.key(Account::User("alice".to_owned()), &["repositories"]).await;
    let from = ("x-forwarded-for", "192.0.2.77");
    for _ in 0..3 {
        assert_eq!(hub.get_with(OLD, &[from, ("authorization", &ci)]).await.status, 200);
    }
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(hub.get_with(OLD, &[from, ("authorization", &ci)]).await.status, 200);
    assert_eq!(hub.get_with(OLD, &[("x-forwarded-for", "2001:db8:1:2::3")]).await.status, 200);
    assert_eq!(hub.get_with(NEW, &[from, ("authorization", &alice)]).await.status, 200);
    assert_eq!(hub.get_with("/repos/all/tarballs/jason-1.0.0.tar", &[from]).await.status, 200);
    // Neither a look at the headers nor what is not there is a delivery.
    assert_eq!(hub.send(reqwest::Method::HEAD, NEW, &[from]).await.status, 200);
    assert_eq!(hub.get_with("/tarballs/jason-9.0.0.tar", &[from]).await.status, 404);

    for running in [true, false] {
        if !running {
            hub.stop().await;
        }
        let (code, said, error) = hub.command(&["who-has", "jason", "1.0.0"]).await;
        assert_eq!((code, error.as_str()), (0, ""), "running: {running}");
        let mut lines: Vec<Vec<&str>> = said.lines().map(columns).collect();
        lines.sort_unstable();
        let [everywhere, nobody, known] = lines.as_slice() else { panic!("{said}") };
        assert_eq!(everywhere[..5], ["all", "1.0.0", "-", "-", "192.0.2.0/24"]);
        assert_eq!(nobody[..5], ["hexpm", "1.0.0", "-", "-", "2001:db8:1::/48"]);
        assert_eq!(known[..4], ["hexpm", "1.0.0", "user:alice", "key:test-2"], "never the secret");
        assert_eq!((known[4], known[7]), ("192.0.2.0/24", "4"));
        let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
        assert_eq!(at(known[6]).duration_since(at(known[5])).unwrap().as_secs() / 60, 60, "{said}");
        let (_, said, _) = hub.command(&["who-has", "jason", "--repository", "hexpm"]).await;
        assert_eq!(said.lines().count(), 3, "{said}");
        let (code, _, error) = hub.command(&["who-has", "jason", "7.0.0"]).await;
        assert_eq!(code, 0);
        assert!(error.starts_with("the fetch log has no download of jason"), "{error}");
        assert_eq!(hub.command(&["who-has", "jason", "--repository", "nowhere"]).await.0, 1);
    }
    hub.launch().await;

    let root = hub.user("root", true).await;
    let body = serde_json::json!({"package": "jason", "version": "1.1.0"});
    let answer = hub.api(reqwest::Method::POST, "/api/admin/who-has", &root, Some(body.clone())).await.json();
    let line = answer["lines"][0].as_str().unwrap();
    assert_eq!(columns(line)[..3], ["hexpm", "1.1.0", "user:alice"], "{answer}");
    let refused = hub.api(reqwest::Method::POST, "/api/admin/who-has", &alice, Some(body)).await;
    assert_eq!(refused.status, 403, "it is for administrators");

    hub.clock.advance(Duration::from_secs(91 * DAY));
    let (_, said, error) = hub.command(&["who-has", "jason"]).await;
    assert_eq!(said, "", "after 90 days nobody knows");
    assert!(error.starts_with("the fetch log has no download of jason"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_of_by_the_key_that_was_exchanged_for_it() {
    let hub = start(policy("own", "dry_run", "cooldown: 7d")).await;
    hub.user("alice", false).await;
    let ci = hub.key(Account::User("alice".to_owned()), &["repositories"]).await;
    let fields = serde_json::json!({
        "grant_type": "client_credentials", "client_id": "78ea6566-89fd-481e-a1d6-7d9d78eacca8", "client_secret": ci,
        "scope": "repositories",
    });
    let answer = hub.api(reqwest::Method::POST, "/api/oauth/token", "", Some(fields)).await;
    let token = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    assert_eq!(hub.get_with(NEW, &[("authorization", &token)]).await.status, 200);
    for command in [&["who-has", "jason", "1.1.0"][..], &["policy", "report", "hexpm", "--by-caller"]] {
        let (_, said, _) = hub.command(command).await;
        assert!(said.contains("user:alice\tkey:test-2\t"), "{command:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_kept_as_it_is_configured() {
    let wishes = |options: &str| Wishes { top: format!("fetch_log: {{ {options} }}\n"), ..Wishes::default() };
    let hub = start(wishes("addresses: full")).await;
    assert_eq!(hub.get(OLD).await.status, 200);
    reload(&hub, &wishes("addresses: off")).await;
    assert_eq!(hub.get(OLD).await.status, 200);
    let (_, said, _) = hub.command(&["who-has", "jason", "1.0.0"]).await;
    let mut addresses: Vec<&str> = said.lines().map(|line| columns(line)[4]).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["-", "127.0.0.1"], "{said}");
    reload(&hub, &wishes("retain: 0s")).await;
    assert_eq!(hub.get(NEW).await.status, 200);
    let (_, said, error) = hub.command(&["who-has", "jason", "1.1.0"]).await;
    assert_eq!((said.as_str(), error.trim_end()), ("", "the fetch log is disabled: fetch_log.retain is 0s"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_lists_what_would_be_held_by_release_and_by_caller() {
    let mut hub = start(policy("own", "dry_run", "cooldown: 7d, overrides: [{deny: jason, requirement: 1.0.0}]")).await;
    let alice = hub.user("alice", false).await;
    for key in [&alice, &alice, ""] {
        let headers = [("authorization", key)];
        assert_eq!(hub.get_with(NEW, &headers[..usize::from(!key.is_empty())]).await.status, 200);
    }
    assert_eq!(hub.get(OLD).await.status, 200);
    for running in [true, false] {
        if !running {
            hub.stop().await;
        }
        let (code, said, error) = hub.command(&["policy", "report", "hexpm"]).await;
        assert_eq!(code, 0, "{error}");
        let lines: Vec<Vec<&str>> = said.lines().map(columns).collect();
        assert_eq!(lines[0][..4], ["jason", "1.0.0", "would be held", "deny"]);
        assert_eq!(lines[0][6..], ["1", "1 caller"]);
        assert_eq!(lines[1][..4], ["jason", "1.1.0", "would be held", "cooldown"]);
        assert_eq!(lines[1][6..], ["3", "2 callers"]);
        assert_eq!(error.trim_end(), "0 requests were refused, and 4 would have been refused in mode `enforce`");
        let (_, said, _) = hub.command(&["policy", "report", "hexpm", "--by-caller"]).await;
        let lines: Vec<Vec<&str>> = said.lines().map(columns).collect();
        assert_eq!(lines[0][..4], ["-", "-", "127.0.0.0/24", "would be held"], "{said}");
        assert_eq!(lines[0][6..], ["2", "jason 1.0.0, jason 1.1.0"], "{said}");
        assert_eq!((lines[1][0], lines[1][1]), ("user:alice", "key:test"), "{said}");
        assert_eq!(lines[1][6..], ["2", "jason 1.1.0"], "{said}");
    }
    hub.launch().await;
    reload(&hub, &policy("own", "enforce", "cooldown: 7d")).await;
    hub.registry.add("jason", "1.2.0");
    let now = today(&hub);
    hub.registry.published("jason", "1.2.0", now);
    hub.publish();
    hub.clock.advance(Duration::from_secs(31 * DAY));
    hub.registry.published("jason", "1.2.0", now + 31 * DAY);
    hub.publish();
    hub.clock.advance(Duration::from_secs(31 * DAY));
    hub.registry.published("jason", "1.2.0", now + 62 * DAY);
    hub.publish();
    assert_eq!(hub.get("/tarballs/jason-1.2.0.tar").await.status, 403);
    let (_, said, error) = hub.command(&["policy", "report", "hexpm"]).await;
    assert_eq!(error.trim_end(), "1 request was refused, and 4 would have been refused in mode `enforce`");
    assert!(said.contains("jason\t1.2.0\theld\tcooldown"), "{said}");
}
