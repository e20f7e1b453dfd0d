//! A policy at the gateway, from outside: what it holds is in no list and cannot be downloaded, until its time comes.

mod advisories;
mod beforehand;
mod composed;
mod delivery;
mod enforced;
mod excused;
mod feed;
mod fetches;
mod graces;
mod licences;
mod locked;
mod notice;
mod reach;
mod released;
mod remote;
mod waivers;

use std::time::Duration;

use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, RetirementStatus, SecurityAdvisory, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::operations::Operations as _;
use hexkeep::trust::{Origin, PublicKey, verify};
use prost::Message as _;

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::tarballs::pack;

const DAY: u64 = 86_400;
const INDEX: &str = "/packages/jason";
const OLD: &str = "/tarballs/jason-1.0.0.tar";
const NEW: &str = "/tarballs/jason-1.1.0.tar";
const MIX: (&str, &str) = ("user-agent", "hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0) (OTP/25)");

/// A repository `hexpm` under the policy `company`, whose rules for it are `rules`. What is cached stays fresh.
fn policy(signature: &str, mode: &str, rules: &str) -> Wishes {
    Wishes {
        repository: format!("signature: {signature}, metadata_ttl: 30d, policy: company"),
        top: format!("policies:\n  company: {{ mode: {mode}, repositories: {{ hexpm: {{ {rules} }} }} }}\n"),
        ..Wishes::default()
    }
}

/// A daemon with `jason` 1.0.0, a year old, and 1.1.0, a day old.
async fn start(wishes: Wishes) -> Hub {
    let mut hub = Hub::with(wishes).await;
    let now = today(&hub);
    for (version, days) in [("1.0.0", 365), ("1.1.0", 1)] {
        hub.registry.add("jason", version);
        hub.registry.published("jason", version, now - days * DAY);
    }
    hub.publish();
    hub
}

fn today(hub: &Hub) -> u64 {
    use hexkeep::clock::Clock as _;
    hub.clock.now().as_secs()
}

async fn reload(hub: &Hub, wishes: &Wishes) {
    hub.configure(wishes);
    hub.app().core().reload().await.unwrap();
}

fn package(answer: &Answer) -> Package {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Package::decode(Envelope::open(answer.body.clone(), 1 << 24).unwrap().payload).unwrap()
}

/// The versions that the list shows, whose signature is ours.
async fn listed(hub: &Hub) -> Vec<String> {
    let answer = hub.get(INDEX).await;
    let key = PublicKey::from_pem(&hub.get("/public_key").await.text()).unwrap();
    let repository: RepoName = "hexpm".parse().unwrap();
    let resource = RegistryResource::Package("jason".parse().unwrap());
    let envelope = Envelope::open(answer.body.clone(), 1 << 24).unwrap();
    verify(envelope, &[key], &Origin { repository: &repository, resource: &resource }).unwrap();
    package(&answer).releases.into_iter().map(|release| release.version).collect()
}

async fn audit(hub: &Hub, action: &str) -> Vec<String> {
    let log = hub.app().core().state().audit_log("hexpm", 100).await.unwrap();
    log.into_iter().filter(|entry| entry.action == action).map(|entry| entry.detail).collect()
}

/// A registry whose `jason` 1.0.0 is free and 1.1.0 is not.
async fn licensed(wishes: Wishes) -> Hub {
    let mut hub = Hub::with(wishes).await;
    for (version, licence) in [("1.0.0", "MIT"), ("1.1.0", "AGPL-3.0-only")] {
        let metadata = format!(
            "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
        );
        let (tarball, inner) = pack(metadata.as_bytes(), &vec![7; 900]);
        hub.registry.add_bytes("jason", version, tarball, inner);
    }
    let now = i64::try_from(today(&hub)).unwrap();
    hub.registry.updated("jason", now - 1000);
    hub.publish();
    hub
}
