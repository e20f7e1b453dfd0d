//! Advisories from a dump that the daemon fetches by itself.

use serde_json::json;

use super::super::support::upstream::Step;
use super::*;

const DUMP: &str = "/osv/Hex/all.json";
const HOUR: Duration = Duration::from_secs(3601);

fn fed(more: &str) -> Wishes {
    let wishes = policy("own", "enforce", "advisory_min_severity: high");
    let repository = format!("{}, advisories: {{osv: \"{{url}}{DUMP}\"}}{more}", wishes.repository);
    Wishes { repository, ..wishes }
}

/// `jason` below `fixed` has the advisory.
fn dump(fixed: &str) -> String {
    let four = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N";
    let ranges = json!([{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}]);
    json!([{
        "id": "GHSA-aaaa-bbbb-cccc", "severity": [{"type": "CVSS_V4", "score": four}],
        "affected": [{"package": {"ecosystem": "Hex", "name": "jason"}, "ranges": ranges}],
    }])
    .to_string()
}

async fn looks(hub: &Hub, outcome: &str) -> f64 {
    hub.metric(&format!("hexkeep_advisory_refreshes_total{{repository=\"hexpm\",reason=\"{outcome}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_fetched_and_the_last_good_one_counts() {
    let mut hub = start(fed("")).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "it is not there");
    eventually("that is counted", async || looks(&hub, "failed").await == 1.0).await;
    hub.upstream.serve(DUMP, dump("1.1.0"));
    hub.clock.advance(Duration::from_secs(301));
    eventually("it is asked for again", async || looks(&hub, "replaced").await == 1.0).await;
    assert_eq!(listed(&hub).await, ["1.1.0"]);
    assert!(hub.get(OLD).await.text().contains("GHSA-aaaa-bbbb-cccc (severity high)"));
    assert_eq!(package(&hub.get(INDEX).await).advisories[0].cvss_score, Some(8.7));
    assert_eq!(hub.metric("hexkeep_advisories{repository=\"hexpm\"}").await, 1.0);

    // What has not changed costs a conditional request an hour.
    hub.clock.advance(HOUR);
    eventually("it is looked at", async || looks(&hub, "unchanged").await == 1.0).await;
    assert!(hub.upstream.calls_to(DUMP).last().unwrap().header("if-none-match").is_some());

    // What is none, and what is that of others, changes nothing.
    for (refused, bad) in [(1.0, "[{"), (2.0, "[]"), (3.0, "PK\u{3}\u{4} and no archive")] {
        hub.upstream.serve(DUMP, bad);
        hub.clock.advance(HOUR);
        eventually("it is refused", async || looks(&hub, "refused").await == refused).await;
        assert_eq!(listed(&hub).await, ["1.1.0"], "{bad}");
    }

    // Nor does a restart while nobody answers, and then a new one counts at once.
    hub.upstream.always(DUMP, Step::status(503));
    hub.restart().await;
    assert_eq!(listed(&hub).await, ["1.1.0"]);
    eventually("nobody answers", async || looks(&hub, "failed").await == 1.0).await;
    assert_eq!(listed(&hub).await, ["1.1.0"]);
    hub.upstream.always(DUMP, Step::route());
    hub.upstream.serve(DUMP, dump("2.0.0"));
    hub.clock.advance(HOUR);
    eventually("there is another one", async || listed(&hub).await.is_empty()).await;

    let (code, said, error) = hub.command(&["verify-store"]).await;
    assert_eq!(code, 0, "{said}{error}");
    let asked = hub.upstream.calls_to(DUMP).len();
    hub.stop().await;
    hub.configure(&fed(", network: offline"));
    hub.launch().await;
    hub.clock.advance(HOUR);
    assert_eq!(listed(&hub).await, Vec::<String>::new(), "it is known offline, too");
    hub.stop().await;
    assert_eq!(hub.upstream.calls_to(DUMP).len(), asked, "and nobody is asked");

    // A damaged copy is dropped by whoever opens the store, and fetched again.
    let file = hub.data().join("dumps/hexpm/osv");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(hub.command(&["verify-store"]).await.0, 0);
    assert!(!file.exists(), "it is found out");
    hub.configure(&fed(""));
    hub.launch().await;
    eventually("it is fetched whole", async || looks(&hub, "replaced").await == 1.0).await;
    assert_eq!(hub.upstream.calls_to(DUMP).last().unwrap().header("if-none-match"), None);
    assert_eq!(listed(&hub).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_another_url_does_not_count() {
    let mut hub = start(fed("")).await;
    hub.upstream.serve(DUMP, dump("1.1.0"));
    hub.clock.advance(HOUR);
    eventually("it is fetched", async || looks(&hub, "replaced").await == 1.0).await;
    hub.stop().await;
    let mut other = fed("");
    other.repository = other.repository.replace("all.json", "other.json");
    hub.configure(&other);
    hub.launch().await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_dump_counts_through_a_virtual_repository_too() {
    let mut wishes = fed(", direct: true");
    wishes.repository = wishes.repository.replace("policy: company", "policy: null");
    wishes.more = vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()];
    let hub = start(wishes).await;
    let all = async || package(&hub.get("/repos/all/packages/jason").await).releases.len();
    assert_eq!(all().await, 2);
    hub.upstream.serve(DUMP, dump("1.1.0"));
    hub.clock.advance(HOUR);
    eventually("it is fetched", async || looks(&hub, "replaced").await == 1.0).await;
    assert_eq!(all().await, 1);
    assert_eq!(hub.get(&format!("/repos/all{OLD}")).await.status, 403);
    let advised = async || {
        let releases = package(&hub.get(INDEX).await).releases;
        releases.into_iter().map(|release| release.advisory_indexes.len()).collect::<Vec<_>>()
    };
    assert_eq!(advised().await, [1, 0], "no policy holds there");
    hub.upstream.serve(DUMP, dump("2.0.0"));
    hub.clock.advance(HOUR);
    eventually("there is another", async || looks(&hub, "replaced").await == 2.0).await;
    assert_eq!((advised().await, all().await), (vec![1, 1], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_lets_no_release_pass_a_cooldown() {
    let rules = "cooldown: 7d, cooldown_exempt_security_fixes: true";
    let mut wishes = fed(", direct: true");
    wishes.repository = wishes.repository.replace("policy: company", "policy: null");
    wishes.top = policy("own", "enforce", rules).top;
    wishes.more = vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()];
    let mut own = fed("");
    own.top = wishes.top.clone();
    for (wishes, base) in [(own, ""), (wishes, "/repos/all")] {
        let mut hub = start(wishes).await;
        hub.upstream.serve(DUMP, dump("1.1.0"));
        assert_eq!(hub.get(&format!("{base}{INDEX}")).await.status, 200);
        hub.clock.advance(HOUR);
        eventually("it is fetched", async || looks(&hub, "replaced").await == 1.0).await;
        let shown = async |hub: &Hub| package(&hub.get(&format!("{base}{INDEX}")).await).releases.len();
        assert_eq!(shown(&hub).await, 1, "{base} nobody has signed that 1.0.0 has an advisory");
        assert_eq!(hub.get(&format!("{base}{NEW}")).await.status, 403, "{base}");

        // The upstream signs the same: then 1.1.0, which is a day old once more, is a fix.
        let jason = hub.registry.package_mut("jason");
        let signed = SecurityAdvisory { id: "GHSA-aaaa-bbbb-cccc".to_owned(), ..SecurityAdvisory::default() };
        jason.advisories = vec![signed];
        jason.releases[0].advisory_indexes = vec![0];
        let now = today(&hub);
        hub.registry.published("jason", "1.1.0", now + 30 * DAY);
        hub.publish();
        hub.clock.advance(Duration::from_secs(31 * DAY));
        assert_eq!(shown(&hub).await, 2, "{base}");
        assert_eq!(hub.get(&format!("{base}{NEW}")).await.status, 200, "{base}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advisory_counts_until_the_moment_at_which_it_is_withdrawn() {
    for is_file in [false, true] {
        let mut hub = start(Wishes::default()).await;
        let at = hexkeep::clock::Timestamp::from_secs(today(&hub) + 10 * DAY);
        let mut all: serde_json::Value = serde_json::from_str(&dump("1.1.0")).unwrap();
        all[0]["withdrawn"] = json!(at.to_string());
        hub.upstream.serve(DUMP, all.to_string());
        std::fs::write(hub.data().join("../osv.json"), all.to_string()).unwrap();
        let mut wishes = fed("");
        if is_file {
            wishes.repository = wishes.repository.replace(&format!("\"{{url}}{DUMP}\""), "osv.json");
        }
        hub.stop().await;
        hub.configure(&wishes);
        hub.launch().await;
        eventually("the advisory is known", async || listed(&hub).await == ["1.1.0"]).await;
        hub.clock.advance(Duration::from_secs(10 * DAY - 60));
        assert_eq!((listed(&hub).await, hub.get(OLD).await.status), (vec!["1.1.0".to_owned()], 403), "{is_file}");
        hub.clock.advance(Duration::from_secs(120));
        eventually("it is withdrawn", async || listed(&hub).await == ["1.0.0", "1.1.0"]).await;
        assert!(package(&hub.get(INDEX).await).advisories.is_empty(), "{is_file}");
        assert_eq!(hub.get(OLD).await.status, 200, "{is_file}");
        hub.restart().await;
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "{is_file}");
    }
}
