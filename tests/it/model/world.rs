//! A daemon and the registries around it, and what each step does to them and to the reference.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hexkeep::clock::{Clock as _, Timestamp};
use hexkeep::hex::checksum::Sha256;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, GrantCommand, ReleaseCommand};
use hexkeep::operations::jobs::Job;
use hexkeep::operations::purge::Purge;
use hexkeep::state::audit::Actor;
use hexkeep::trust::PrivateKey;
use reqwest::Method;
use serde_json::json;

use super::reference::{Content, Digest, Key, Reference, Source};
use super::steps::{Name, Setup, Span, Step, Version, Who};
use crate::support::hub::{Answer, Hub, StoredFile, Wishes};
use crate::support::local::package;
use crate::support::upstream::ScriptedUpstream;

/// What the private registry is shown, and nobody else.
pub(super) const CREDENTIALS: &str = "corp-credentials-3141592653";

/// A key of another registry, as clients send it everywhere.
pub(super) const FOREIGN: &str = "0123456789abcdef0123456789abcdef";

/// The keys of the daemon: `k1` signs, `k0` is the old one. Making a key takes a while, so there are two for all worlds.
pub(super) static OWN: LazyLock<[String; 2]> =
    LazyLock::new(|| [(); 2].map(|()| PrivateKey::generate(2048).unwrap().to_pem().unwrap().expose().to_owned()));

/// What lies beside the configuration.
fn files() -> [(&'static str, &'static str); 4] {
    let [active, old] = &*OWN;
    [("k1.pem", active), ("k0.pem", old), ("corp.token", CREDENTIALS), ("dump.json", "[]")]
}

/// A store with accounts. Making them takes a while, so they are made once for all worlds.
struct Settled {
    store: Vec<StoredFile>,
    keys: BTreeMap<&'static str, String>,
}

static SETTLED: LazyLock<Settled> = LazyLock::new(|| {
    let settle = || tokio::runtime::Runtime::new().unwrap().block_on(settle());
    // A runtime does not start within another one.
    std::thread::spawn(settle).join().unwrap()
});

async fn settle() -> Settled {
    let hub = Hub::with_files(wishes(Setup::PLAIN, "http://127.0.0.1:1", true), &files()).await;
    let member = hub.member("mia", "write").await;
    let guest = hub.user("sam", false).await;
    let reader = hub.user("rita", false).await;
    for repository in ["acme", "corp"] {
        let (owner, repository) = (Account::User("rita".to_owned()), repository.to_owned());
        hub.order(GrantCommand::Add { owner, repository, pattern: "*".to_owned() }).await;
    }
    let keys = [("member", member), ("guest", guest), ("reader", reader)].into();
    Settled { store: hub.into_store().await, keys }
}

/// The packages of the remote repository `guarded`: it stands for no private name, so nobody looks for one there.
pub(super) const GUARDED: [Name; 2] = [Name::Jason, Name::Plug];

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) corp: ScriptedUpstream,
    /// Where redirects lead.
    pub(super) evil: ScriptedUpstream,
    pub(super) reference: Reference,
    /// The documentation that there is, by its digest.
    pub(super) docs: BTreeMap<Digest, Content>,
    /// The key of each caller that has one of this server.
    pub(super) keys: BTreeMap<&'static str, String>,
    /// Digests of the parts of tarballs, for lock files and old indexes.
    pub(super) inner: BTreeMap<Digest, Sha256>,
    pub(super) bytes: BTreeMap<Digest, Bytes>,
    /// How many requests of each upstream have been looked at.
    pub(super) looked_at: [usize; 3],
    /// The status of the last answer.
    pub(super) answered: u16,
}

fn wishes(setup: Setup, corp: &str, enforced: bool) -> Wishes {
    let Setup { ttl, keep, refuse, fixes, skip, deep, strict, process, .. } = setup;
    let never = "stale_while_revalidate: 0s, missing_ttl: 0s, docs_ttl: 0s, max_stale: 1h, assumed_offline: 0s";
    let keep = if keep { "keep" } else { "hide" };
    let network = if strict { "strict" } else { "fallback" };
    let changes = if refuse { "refuse" } else { "allow" };
    let public = format!(
        "public_key: \"{{key}}\", name: hexpm, metadata_ttl: {ttl}s, {never}, on_upstream_delete: {keep}, \
         checksum_changes: {changes}, advisories: {{osv: dump.json}}, network: {network}"
    );
    let member = if deep { "middle" } else { "upstream" };
    let middle = deep.then(|| "middle: { type: virtual, members: [upstream], anonymous_read: true }".to_owned());
    let skip = if skip { "skip" } else { "fail" };
    let rules = format!(
        "cooldown: 7d, licenses: {{deny: [AGPL-3.0-only]}}, advisory_min_severity: high, retirement_reasons: [security], \
         cooldown_exempt_security_fixes: {fixes}, \
         overrides: [{{package: plug, ignore_advisory: GHSA-1111-2222-3333, reason: x}}]"
    );
    let mode = if enforced { "enforce" } else { "dry_run" };
    Wishes {
        instead: [
            format!("upstream: {{ type: remote, url: \"{{url}}\", api_url: \"{{url}}/api\", {public} }}"),
            format!(
                "corp: {{ type: remote, url: \"{corp}\", public_key: \"{{key}}\", credentials: {{file: corp.token}}, \
                 metadata_ttl: 0s, {never} }}"
            ),
            "acme: { type: local, mutability: always, direct: true }".to_owned(),
            format!(
                "hexpm: {{ type: virtual, members: [acme, corp, {member}], reserve: [\"acme_*\"], policy: company, \
                 deploy_to: acme, anonymous_read: true, hosts: [packages.test], on_member_failure: {skip} }}"
            ),
            "outer: { type: virtual, members: [hexpm], anonymous_read: true }".to_owned(),
            format!("guarded: {{ type: remote, url: \"{{url}}/g\", signature: own, policy: company, {public} }}"),
        ]
        .into_iter()
        .chain(middle)
        .collect(),
        top: format!(
            "auth: {{ rate_limits: {{ failed_logins: 100000 }} }}\n\
             signing: {{ keys: [{{id: k1, file: k1.pem}}, {{id: k0, file: k0.pem}}], active: k1 }}\n\
             policies:\n  company: {{ mode: {mode}, repositories: {{ upstream: {{ {rules} }}, guarded: {{ {rules} }} }} }}\n"
        ),
        server: "deadline: 5s".to_owned(),
        process,
        ..Wishes::default()
    }
}

/// The time of the daemon, in seconds.
fn now(hub: &Hub, setup: Setup) -> u64 {
    match setup.process {
        true => Timestamp::from(SystemTime::now()).as_secs(),
        false => hub.clock.now().as_secs(),
    }
}

impl World {
    pub(super) async fn new(setup: Setup) -> Self {
        let (corp, evil) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
        let hub = Hub::with_store(wishes(setup, &corp.url(), setup.enforced), &files(), &SETTLED.store).await;
        let reference = Reference::new(setup, now(&hub, setup));
        let mut world = Self {
            hub,
            corp,
            evil,
            reference,
            docs: BTreeMap::new(),
            keys: SETTLED.keys.clone(),
            inner: BTreeMap::new(),
            bytes: BTreeMap::new(),
            looked_at: [0; 3],
            answered: 0,
        };
        world.serve(Who::Public);
        world.serve(Who::Corp);
        world
    }

    pub(super) fn now(&self) -> u64 {
        now(&self.hub, self.reference.setup)
    }

    pub(super) fn configure(&self) {
        self.hub.configure(&wishes(self.reference.setup, &self.corp.url(), self.reference.enforced));
    }

    async fn reload(&self) {
        self.configure();
        self.hub.app().core().reload().await.unwrap();
    }

    /// A request to the API by the member.
    async fn write(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Answer {
        let (content_type, bytes) = body.map_or(("application/json", None), |(kind, bytes)| (kind, Some(bytes)));
        let path = format!("/api/repos/acme/packages/{path}");
        self.hub.call(method, &path, &self.keys["member"], content_type, bytes).await
    }

    /// Does one step. What only asks is done by [`super::ways`].
    pub(super) async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Publish(name, version, flavour) => return self.publish(name, version, flavour).await,
            Step::Revert(name, version) => {
                let path = format!("{}/releases/{}", name.text(), version.text());
                if self.write(Method::DELETE, &path, None).await.status < 300 {
                    self.reference.inside.remove(&(name, version));
                    // Other bytes are not taken for it any more.
                    self.reference.erased.insert((name, version));
                }
            }
            Step::RetireHere(name, version) => {
                let path = format!("{}/releases/{}/retire", name.text(), version.text());
                let reason = Bytes::from(json!({"reason": "security"}).to_string());
                self.write(Method::POST, &path, Some(("application/json", reason))).await;
            }
            Step::Erase(name, version) => self.erase(name, version).await,
            Step::Forget(name) => {
                let (code, ..) = self.hub.command(&["release", "forget", "acme", name.text(), "--yes"]).await;
                let left = self.reference.inside.keys().any(|(published, _)| *published == name);
                if code == 0 && left {
                    return Err(format!("{} was given back, and there are releases of it", name.text()));
                }
                if code == 0 {
                    self.reference.claimed.remove(&name);
                }
            }
            Step::Release(who, name, version, flavour, facts) => self.release(who, (name, version), flavour, facts),
            Step::Withdraw(who, name, version) => {
                let mut state = self.reference.registry(who).now.clone();
                state.remove(&(name, version));
                self.change(who, state);
            }
            Step::Drop(who, name) => {
                let mut state = self.reference.registry(who).now.clone();
                state.retain(|(listed, _), _| *listed != name);
                self.change(who, state);
            }
            Step::Replay(who) => {
                if let Some((_, state)) = self.reference.registry(who).past.iter().rev().nth(1).cloned() {
                    self.change(who, state);
                }
            }
            Step::Mood(who, mood) => self.mood(who, mood).await,
            Step::SpoilFile(name, version) => self.spoil((name, version), false),
            Step::SpoilIndex(name, version) => self.spoil((name, version), true),
            Step::Dump(name, version) => {
                self.reference.dumped.insert((name, version));
                let entries = self.reference.dumped.iter().enumerate().map(|(at, (name, version))| {
                    let package = json!({"ecosystem": "Hex", "name": name.text()});
                    let affected = json!([{"package": package, "versions": [version.text()]}]);
                    let score = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
                    let severity = json!([{"type": "CVSS_V3", "score": score}]);
                    json!({"id": format!("GHSA-dump-aaaa-{at:04}"), "severity": severity, "affected": affected})
                });
                let dump = serde_json::Value::from_iter(entries).to_string();
                std::fs::write(self.hub.config_file().with_file_name("dump.json"), dump).unwrap();
                self.reload().await;
            }
            Step::Enforce(enforced) => {
                self.reference.enforced = enforced;
                self.reload().await;
            }
            Step::Pin(holder, name, version) => self.pin(holder, (name, version)).await,
            Step::Wait(span) => self.hub.clock.advance(Duration::from_secs(match span {
                Span::Minute => 61,
                Span::Hours => 2 * 3600,
                Span::Week => 8 * 86_400,
            })),
            Step::Restart => self.hub.restart().await,
            Step::Die => self.hub.die().await,
            Step::Purge => {
                for repository in ["upstream", "corp", "guarded"] {
                    let purge = Purge { repository: Some(repository.to_owned()), package: None, version: None };
                    self.hub.app().core().purge(purge, Actor::console()).await.unwrap();
                }
                self.reference.heard_at = None;
            }
            Step::Prefetch(holder, name, version) => {
                if let Some(wanted) = self.wanted(holder, (name, version)) {
                    self.work(Job::Prefetch(wanted)).await;
                }
            }
            Step::Bundle(holder, name, version) => return self.bundle(holder, (name, version)).await,
            Step::Mirror(holder) => return self.mirror(holder).await,
            Step::Ask(caller, base, way, name, version) => return self.ask(caller, base, way, (name, version)).await,
        }
        Ok(())
    }

    async fn publish(&mut self, name: Name, version: Version, flavour: u8) -> Result<(), String> {
        let key = (name, version);
        let bytes = package(name.text(), version.text(), &format!("% inside {flavour}"));
        let path = format!("{}/releases?replace=true", name.text());
        let answer = self.write(Method::POST, &path, Some(("application/octet-stream", bytes.clone()))).await;
        if answer.status < 300 {
            // Nobody compares the checksum of the parts of what is published here.
            let digest = self.know(Source::Inside, key, &bytes, Sha256::of(b""));
            self.reference.inside.insert(key, digest);
            self.reference.claimed.insert(name);
        } else if self.reference.must_take(key) {
            return Err(format!("the owner of {} cannot publish it: {} {}", name.text(), answer.status, answer.text()));
        }
        Ok(())
    }

    async fn erase(&mut self, name: Name, version: Option<Version>) {
        let (repository, package) = ("acme".to_owned(), name.text().to_owned());
        let (text, reason) = (version.map(|version| version.text().to_owned()), "law".to_owned());
        let order = ReleaseCommand::Remove { repository, package, version: text, reason };
        if self.hub.app().core().administer(order.into(), Actor::console()).await.is_ok() {
            let gone: Vec<Key> = self.reference.inside.keys().copied().collect();
            let gone = gone.into_iter().filter(|key| key.0 == name && version.is_none_or(|version| version == key.1));
            for key in gone {
                self.reference.inside.remove(&key);
                self.reference.erased.insert(key);
            }
            // Whether what was reverted before is erased, too, is for the daemon to say.
            for any in Version::ALL.into_iter().filter(|any| version.is_none_or(|version| version == *any)) {
                self.reference.erased.insert((name, any));
            }
        }
    }
}

/// Whether `guarded` is asked for a name at all.
pub(super) fn is_guarded(name: Name) -> bool {
    GUARDED.contains(&name)
}
