//! `locked: { CLASS: DURATION }`: how long what was delivered stays to be had after a rule of a class has first held it.

use super::*;

const NEWER: &str = "/tarballs/jason-1.2.0.tar";

/// Under which rules a release is delivered, and which rules hold it from then on for what reason.
struct Case {
    class: &'static str,
    before: String,
    after: String,
    why: &'static str,
}

fn cases(today: u64) -> Vec<Case> {
    let date = |days: u64| hexkeep::clock::Timestamp::from_secs(today - days * DAY).to_string();
    let case =
        |class, before: &str, after: &str, why| Case { class, before: before.to_owned(), after: after.to_owned(), why };
    vec![
        case("cooldown", "cooldown: 1d", "cooldown: 60d", "it was published less than 60d ago"),
        case(
            "freeze",
            "freeze_after: \"2099-01-01\"",
            &format!("freeze_after: \"{}\"", date(20)),
            "it was published after",
        ),
        case(
            "licenses",
            "licenses: {deny: [GPL-3.0-only]}",
            "licenses: {deny: [AGPL-3.0-only]}",
            "it has the licence AGPL-3.0-only",
        ),
    ]
}

/// A daemon whose `jason` 1.0.0 is old and free; 1.1.0 and 1.2.0 are two days old and are not free.
async fn stocked(wishes: &Wishes) -> Hub {
    let mut hub = Hub::with(Wishes {
        repository: wishes.repository.clone(),
        more: wishes.more.clone(),
        top: wishes.top.clone(),
        ..Wishes::default()
    })
    .await;
    let now = today(&hub);
    for (version, licence, days) in
        [("1.0.0", "MIT", 365), ("1.1.0", "AGPL-3.0-only", 2), ("1.2.0", "AGPL-3.0-only", 2)]
    {
        let metadata = format!(
            "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
        );
        let (tarball, inner) = pack(metadata.as_bytes(), &vec![7; 900]);
        hub.registry.add_bytes("jason", version, tarball, inner);
        hub.registry.published("jason", version, now - days * DAY);
    }
    hub.publish();
    hub
}

/// A remote repository under these rules, or a virtual one above it.
fn under(rules: &str, above: bool) -> Wishes {
    let wishes = policy("own", "enforce", rules);
    match above {
        false => wishes,
        true => Wishes {
            repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
            more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()],
            ..wishes
        },
    }
}

async fn shown(hub: &Hub, base: &str) -> Vec<String> {
    let found = package(&hub.get(&format!("{base}{INDEX}")).await).releases;
    found.into_iter().map(|release| release.version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_held_when_the_grace_of_its_class_has_passed() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (above, base) in [(false, ""), (true, "/repos/all")] {
        for Case { class, before, after, why } in cases(now) {
            let what = format!("{class} {base}");
            let mut hub = stocked(&under(&before, above)).await;
            let (delivered, never) = (format!("{base}{NEW}"), format!("{base}{NEWER}"));
            assert_eq!(hub.get(&delivered).await.status, 200, "{what}: it is allowed");
            let stricter = under(&format!("{after}, locked: {{{class}: 3d}}"), above);
            reload(&hub, &stricter).await;
            // The licence of the other one is read when somebody asks for it.
            let refused = hub.get(&never).await;
            assert_eq!(refused.status, 403, "{what}: nobody was given 1.2.0");
            assert!(refused.text().contains(why), "{what}: {}", refused.text());
            assert_eq!(shown(&hub, base).await, ["1.0.0", "1.1.0"], "{what}: the grace begins");
            assert_eq!(hub.get(&delivered).await.status, 200, "{what}");
            hub.clock.advance(Duration::from_secs(DAY));
            hub.restart().await;
            assert_eq!(hub.get(&delivered).await.status, 200, "{what}: it goes on after a restart");
            hub.clock.advance(Duration::from_secs(2 * DAY - 60));
            assert_eq!(hub.get(&delivered).await.status, 200, "{what}: its last minute");
            let kept = hub.get(&format!("{base}{INDEX}")).await.header("cache-control").to_owned();
            assert!(["public, max-age=60", "public, max-age=59"].contains(&&*kept), "{what}: {kept}");
            hub.clock.advance(Duration::from_secs(60));
            let held = hub.get(&delivered).await;
            assert_eq!(held.status, 403, "{what}: it is over");
            assert!(held.text().contains(why), "{what}: {}", held.text());
            assert_eq!(shown(&hub, base).await, ["1.0.0"], "{what}");
            // A grace is given once.
            hub.restart().await;
            assert_eq!(hub.get(&delivered).await.status, 403, "{what}");
            let (kept, never_given) = (
                under(&format!("{after}, locked: {{{class}: keep}}"), above),
                under(&format!("{after}, locked: {{{class}: hold}}"), above),
            );
            reload(&hub, &kept).await;
            assert_eq!(hub.get(&delivered).await.status, 200, "{what}: keep");
            reload(&hub, &never_given).await;
            assert_eq!(hub.get(&delivered).await.status, 403, "{what}: hold");
        }
    }
}
