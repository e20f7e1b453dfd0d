//! What the log says when a policy is enforced that was not.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::support::process::{Daemon, Home};
use super::super::support::site::Site;
use super::DAY;

const MESSAGE: &str = "the policy is now enforced";

/// Writes the configuration with these rules and reloads it.
fn reload(site: &Site, mode: &str, rules: &str) {
    let more = ", signature: own, metadata_ttl: 30d, policy: company";
    let policy = format!("policies: {{ company: {{ mode: {mode}, repositories: {{ hexpm: {{ {rules} }} }} }} }}\n");
    site.home.write("hexkeep.yaml", &format!("{}{policy}", Home::config(&site.upstream.url(), more)));
}

fn lines(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains(MESSAGE));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_enforces_a_policy_says_what_it_holds_and_what_it_does_not() {
    let releases = [("jason", "1.0.0"), ("jason", "1.1.0"), ("jason", "1.2.0"), ("jason", "1.3.0"), ("jason", "1.4.0")];
    let mut site = Site::with(&releases, 900, "").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for ((package, version), days) in releases.into_iter().zip([365, 3, 2, 2, 2]) {
        site.registry.published(package, version, now - days * DAY);
    }
    site.publish();
    reload(&site, "dry_run", "cooldown: 1d");
    let daemon = site.home.serve();
    // Allowed when it is delivered.
    assert_eq!(daemon.get("/tarballs/jason-1.1.0.tar").await.status, 200);
    reload(&site, "dry_run", "cooldown: 30d");
    assert_eq!(site.home.run(&["reload"]).code, 0);
    site.lock("mix.lock", &[("jason", "1.2.0")]);
    let pinned = site.home.run(&["pin", "hexpm", "--lock", "mix.lock", "--reason", "SEC-1"]);
    assert_eq!(pinned.code, 0, "{pinned:?}");
    // A dry run looks at what is downloaded.
    assert_eq!(daemon.get("/tarballs/jason-1.0.0.tar").await.status, 200);
    assert_eq!(lines(&daemon), Vec::<Value>::new(), "nothing is enforced yet");

    reload(&site, "enforce", "cooldown: 30d");
    assert_eq!(site.home.run(&["reload"]).code, 0);
    daemon.await_log(MESSAGE);
    let said = lines(&daemon);
    assert_eq!(said.len(), 1, "{said:?}");
    let number = |name: &str| said[0][name].as_u64();
    assert_eq!((said[0]["view"].as_str(), said[0]["policy"].as_str()), (Some("hexpm"), Some("company")));
    assert_eq!(number("packages"), Some(1));
    assert_eq!((number("held"), number("exempt"), number("pinned")), (Some(2), Some(1), Some(1)), "{said:?}");
    assert_eq!((number("waived"), number("overridden")), (Some(0), Some(0)));
    for (version, status) in [("1.0.0", 200), ("1.1.0", 200), ("1.2.0", 200), ("1.3.0", 403), ("1.4.0", 403)] {
        assert_eq!(daemon.get(&format!("/tarballs/jason-{version}.tar")).await.status, status, "{version}");
    }
    // What was enforced before is not told again.
    reload(&site, "enforce", "cooldown: 60d");
    assert_eq!(site.home.run(&["reload"]).code, 0);
    let (_, log) = daemon.stop();
    assert_eq!(log.matches(MESSAGE).count(), 1, "{log}");
}
