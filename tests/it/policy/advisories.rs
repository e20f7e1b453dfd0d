//! Advisories from an OSV dump, for a registry that carries none.

use serde_json::json;

use super::*;

/// Writes a dump beside the configuration: `jason` below `fixed` has the advisory.
fn write_dump(hub: &Hub, fixed: &str) {
    let dump = json!([{
        "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-1"], "summary": "It breaks",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [{"package": {"ecosystem": "Hex", "name": "jason"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}],
    }]);
    std::fs::write(hub.config_file().with_file_name("osv.json"), dump.to_string()).unwrap();
}

fn with_dump(wishes: Wishes) -> Wishes {
    Wishes { repository: format!("{}, advisories: {{osv: osv.json}}", wishes.repository), ..wishes }
}

async fn with_advisories(hub: &Hub, base: &str) -> Vec<i32> {
    let payload = Envelope::open(hub.get(&format!("{base}/versions")).await.body, 1 << 24).unwrap().payload;
    Versions::decode(payload).unwrap().packages.into_iter().flat_map(|package| package.with_advisories).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_added_to_what_clients_see_and_to_what_policies_look_at() {
    let wishes = Wishes {
        repository: "signature: own, metadata_ttl: 30d".to_owned(),
        more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
        ..Wishes::default()
    };
    let hub = start(wishes.clone()).await;
    let before = package(&hub.get(INDEX).await);
    assert_eq!((before.advisories.len(), with_advisories(&hub, "").await), (0, vec![]));
    write_dump(&hub, "1.1.0");
    reload(&hub, &with_dump(wishes.clone())).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "verified with our key");
    for path in [INDEX, "/repos/all/packages/jason"] {
        let after = package(&hub.get(path).await);
        assert_eq!(after.advisories[0].id, "GHSA-aaaa-bbbb-cccc", "{path}");
        assert_eq!((after.advisories[0].severity, after.advisories[0].cvss_score), (Some(4), Some(9.8)), "{path}");
        let indexes: Vec<_> = after.releases.iter().map(|release| release.advisory_indexes.clone()).collect();
        assert_eq!(indexes, [vec![0], vec![]], "{path}");
        // Beside its named fields every release is what it was.
        for (before, mut after) in before.releases.iter().zip(after.releases) {
            after.advisory_indexes.clear();
            assert_eq!(*before, after);
        }
    }
    assert_eq!(with_advisories(&hub, "").await, [0]);
    assert_eq!(with_advisories(&hub, "/repos/all").await, [0]);

    let held = policy("own", "enforce", "advisory_min_severity: high");
    reload(&hub, &with_dump(Wishes { more: wishes.more.clone(), ..held })).await;
    assert_eq!(listed(&hub).await, ["1.1.0"]);
    let refused = hub.get(OLD).await;
    assert_eq!(refused.status, 403);
    let expected = "it has the security advisory GHSA-aaaa-bbbb-cccc (severity critical)";
    assert!(refused.text().contains(expected), "{}", refused.text());

    // A new dump counts from the next reload on, a broken one leaves the old one in force.
    write_dump(&hub, "2.0.0");
    assert_eq!(listed(&hub).await, ["1.1.0"]);
    hub.app().core().reload().await.unwrap();
    assert_eq!(listed(&hub).await, Vec::<String>::new());
    std::fs::write(hub.config_file().with_file_name("osv.json"), "[{").unwrap();
    let refused = hub.app().core().reload().await.unwrap_err().sentence();
    assert!(
        refused.contains("repositories.hexpm.advisories.osv: this is not an advisory dump in OSV format"),
        "{refused}"
    );
    assert_eq!(listed(&hub).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_on_list_stays_as_it_is_and_its_downloads_are_refused() {
    let hub = start(policy("upstream", "enforce", "advisory_min_severity: high")).await;
    assert_eq!(hub.get(NEW).await.status, 200);
    write_dump(&hub, "1.1.0");
    reload(&hub, &with_dump(policy("upstream", "enforce", "advisory_min_severity: high"))).await;
    assert_eq!(hub.get(INDEX).await.body, hub.registry.package("jason"));
    assert_eq!((hub.get(OLD).await.status, hub.get(NEW).await.status), (403, 200));
}
