//! A daemon, the registries around it, and what each step does to them and to the reference.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use hexkeep::admin::Operations as _;
use hexkeep::admin::commands::{Account, Command};
use hexkeep::admin::locked::{Locked, LockedReleases};
use hexkeep::admin::protocol::{Bundle, CreateBundle, Job, Mirror, MirrorAction, Prefetch, Purge};
use hexkeep::clock::Clock as _;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{RetirementStatus, SecurityAdvisory};
use hexkeep::state::audit::By;
use hexkeep::tasks::report::Reporter;
use hexkeep::trust::{PrivateKey, Signer};
use reqwest::Method;
use serde_json::json;

use super::reference::{Content, Digest, Key, Listed, Reference, Source, State};
use super::steps::{Facts, Holder, Mood, Name, Setup, Span, Step, Sums, Version, Who};
use crate::support::hub::{Answer, Hub, Wishes};
use crate::support::local::{docs, package};
use crate::support::registry::TestRegistry;
use crate::support::tarballs::pack;
use crate::support::upstream::{ScriptedUpstream, Step as Scripted};

/// What the private registry is shown, and nobody else.
pub(super) const CREDENTIALS: &str = "corp-credentials-3141592653";

/// A key of another registry, as clients send it everywhere.
pub(super) const FOREIGN: &str = "0123456789abcdef0123456789abcdef";

/// The keys of the daemon: `k1` signs, `k0` is the old one. Making a key takes a while, so there are two for all worlds.
pub(super) static OWN: LazyLock<[String; 2]> =
    LazyLock::new(|| [(); 2].map(|()| PrivateKey::generate(2048).unwrap().to_pem().unwrap().expose().to_owned()));

/// The packages of the remote repository `guarded`: it stands for no private name, so nobody looks for one there.
const GUARDED: [Name; 2] = [Name::Jason, Name::Plug];

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
    bytes: BTreeMap<Digest, Bytes>,
    /// How many requests of each upstream have been looked at.
    pub(super) looked_at: [usize; 3],
    /// The status of the last answer.
    pub(super) answered: u16,
}

fn wishes(setup: Setup, corp: &str, enforced: bool) -> Wishes {
    let Setup { ttl, keep, refuse, fixes, skip, .. } = setup;
    let never = "stale_while_revalidate: 0s, missing_ttl: 0s, docs_ttl: 0s, max_stale: 1h, assumed_offline: 0s";
    let keep = if keep { "keep" } else { "hide" };
    let changes = if refuse { "refuse" } else { "allow" };
    let public = format!(
        "public_key: \"{{key}}\", name: hexpm, metadata_ttl: {ttl}s, {never}, on_upstream_delete: {keep}, \
         checksum_changes: {changes}, advisories: {{osv: dump.json}}"
    );
    let skip = if skip { "skip" } else { "fail" };
    let rules = format!(
        "cooldown: 7d, licenses: {{deny: [AGPL-3.0-only]}}, advisory_min_severity: high, retirement_reasons: [security], \
         cooldown_exempt_security_fixes: {fixes}, \
         overrides: [{{package: plug, ignore_advisory: GHSA-1111-2222-3333, reason: x}}]"
    );
    let mode = if enforced { "enforce" } else { "dry_run" };
    Wishes {
        instead: vec![
            format!("upstream: {{ type: remote, url: \"{{url}}\", api_url: \"{{url}}/api\", {public} }}"),
            format!(
                "corp: {{ type: remote, url: \"{corp}\", public_key: \"{{key}}\", credentials: {{file: corp.token}}, \
                 metadata_ttl: 0s, {never} }}"
            ),
            "acme: { type: local, mutability: always, direct: true }".to_owned(),
            format!(
                "hexpm: {{ type: virtual, members: [acme, corp, upstream], reserve: [\"acme_*\"], policy: company, \
                 deploy_to: acme, anonymous_read: true, hosts: [packages.test], on_member_failure: {skip} }}"
            ),
            "outer: { type: virtual, members: [hexpm], anonymous_read: true }".to_owned(),
            format!("guarded: {{ type: remote, url: \"{{url}}/g\", signature: own, policy: company, {public} }}"),
        ],
        top: format!(
            "auth: {{ rate_limits: {{ failed_logins: 100000 }} }}\n\
             signing: {{ keys: [{{id: k1, file: k1.pem}}, {{id: k0, file: k0.pem}}], active: k1 }}\n\
             policies:\n  company: {{ mode: {mode}, repositories: {{ upstream: {{ {rules} }}, guarded: {{ {rules} }} }} }}\n"
        ),
        server: "deadline: 5s".to_owned(),
        ..Wishes::default()
    }
}

/// The bytes of a release elsewhere. Public and private registries never have the same.
fn tarball(who: Who, name: Name, version: Version, flavour: u8, agpl: bool) -> (Bytes, Sha256) {
    let licence = if agpl { "AGPL-3.0-only" } else { "MIT" };
    let (name, version) = (name.text(), version.text());
    let metadata = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
    );
    pack(metadata.as_bytes(), format!("{who:?} {name} {version} {flavour}").repeat(20).as_bytes())
}

impl World {
    pub(super) async fn new(setup: Setup) -> Self {
        let (corp, evil) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
        let files = [
            ("k1.pem", OWN[0].as_str()),
            ("k0.pem", OWN[1].as_str()),
            ("corp.token", CREDENTIALS),
            ("dump.json", "[]"),
        ];
        let hub = Hub::with_files(wishes(setup, &corp.url(), setup.enforced), &files).await;
        let member = hub.member("mia", "write").await;
        let guest = hub.user("sam", false).await;
        let reader = hub.user("rita", false).await;
        for repository in ["acme", "corp"] {
            let (owner, repository) = (Account::User("rita".to_owned()), repository.to_owned());
            hub.order(Command::GrantAdd { owner, repository, pattern: "*".to_owned() }).await;
        }
        let keys = [("member", member), ("guest", guest), ("reader", reader)].into();
        let reference = Reference::new(setup, hub.clock.now().as_secs());
        let mut world = Self {
            hub,
            corp,
            evil,
            reference,
            docs: BTreeMap::new(),
            keys,
            inner: BTreeMap::new(),
            bytes: BTreeMap::new(),
            looked_at: [0; 3],
            answered: 0,
        };
        world.serve(Who::Public);
        world.serve(Who::Corp);
        world
    }

    pub(super) fn configure(&self) {
        self.hub.configure(&wishes(self.reference.setup, &self.corp.url(), self.reference.enforced));
    }

    async fn reload(&self) {
        self.configure();
        self.hub.app().core().reload().await.unwrap();
    }

    fn upstream(&self, who: Who) -> &ScriptedUpstream {
        match who {
            Who::Public => &self.hub.upstream,
            Who::Corp => &self.corp,
        }
    }

    fn know(&mut self, source: Source, key: Key, bytes: &Bytes, inner: Sha256) -> Digest {
        let digest = Sha256::of(bytes).to_string();
        self.reference.contents.insert(digest.clone(), Content { source, key });
        self.inner.insert(digest.clone(), inner);
        self.bytes.insert(digest.clone(), bytes.clone());
        digest
    }

    /// Signs what a registry elsewhere has and puts it where the daemon asks.
    fn serve(&mut self, who: Who) {
        let state = self.reference.registry(who).now.clone();
        let registry = self.signed(who, &state);
        let servers = match who {
            Who::Public => {
                vec![(&self.hub.upstream, ""), (&self.hub.upstream, "/g"), (&self.evil, ""), (&self.evil, "/g")]
            }
            Who::Corp => vec![(&self.corp, "")],
        };
        for (server, prefix) in servers {
            server.serve(&format!("{prefix}/names"), registry.names());
            server.serve(&format!("{prefix}/versions"), registry.versions());
            for name in Name::ALL {
                let path = format!("{prefix}/packages/{}", name.text());
                match state.keys().any(|(listed, _)| *listed == name) {
                    true => server.serve(&path, registry.package(name.text())),
                    false => server.forget(&path),
                }
            }
            // What is not listed any more stays where it was.
            for ((name, version), listed) in &state {
                let file = format!("{}-{}", name.text(), version.text());
                server.serve(&format!("{prefix}/tarballs/{file}.tar"), self.bytes[&listed.digest].clone());
                let (origin, source) = match who {
                    Who::Public if std::ptr::eq(server, &raw const self.evil) => ("evil", Source::Evil),
                    _ => (if who == Who::Public { "public" } else { "corp" }, Source::Elsewhere(who)),
                };
                let text = docs(&format!("{origin} {file}"));
                let content = Content { source, key: (*name, *version) };
                self.docs.insert(Sha256::of(&text).to_string(), content);
                server.serve(&format!("{prefix}/docs/{file}.tar.gz"), text);
            }
        }
    }

    fn signed(&self, who: Who, state: &State) -> TestRegistry {
        let mut registry = TestRegistry::new(if who == Who::Public { "hexpm" } else { "corp" });
        for ((name, version), listed) in state {
            let (name, version) = (name.text(), version.text());
            registry.add_bytes(name, version, self.bytes[&listed.digest].clone(), self.inner[&listed.digest]);
            registry.published(name, version, listed.published);
            registry.updated(name, i64::try_from(listed.published).unwrap());
            let package = registry.package_mut(name);
            if listed.facts.advisory && package.advisories.is_empty() {
                let id = "GHSA-1111-2222-3333".to_owned();
                package.advisories = vec![SecurityAdvisory { id, severity: Some(3), ..SecurityAdvisory::default() }];
            }
            let release = package.releases.last_mut().unwrap();
            if listed.facts.advisory {
                release.advisory_indexes = vec![0];
            }
            if listed.facts.retired {
                release.retired = Some(RetirementStatus { reason: 2, message: None });
            }
            match listed.facts.sums {
                Sums::Both => {}
                Sums::InnerOnly => release.outer_checksum = None,
                Sums::OuterOnly => release.inner_checksum.clear(),
            }
        }
        registry
    }

    /// Lets a registry elsewhere have another state.
    fn change(&mut self, who: Who, state: State) {
        let now = self.reference.now;
        self.reference.registry(who).change(now, state);
        self.serve(who);
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
                    self.hub.app().core().purge(purge, By::console()).await.unwrap();
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
        let order = Command::ReleaseRemove { repository, package, version: text, reason };
        if self.hub.app().core().administer(order, By::console()).await.is_ok() {
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

    fn release(&mut self, who: Who, key: Key, flavour: u8, facts: Facts) {
        let (bytes, inner) = tarball(who, key.0, key.1, flavour, facts.agpl);
        let digest = self.know(Source::Elsewhere(who), key, &bytes, inner);
        let days = if facts.young { 1 } else { 365 };
        let published = self.reference.now - days * 86_400;
        let mut state = self.reference.registry(who).now.clone();
        state.insert(key, Listed { digest, facts, published });
        self.change(who, state);
    }

    /// Puts bytes that nobody has signed where those of a release are, or an index that lists them.
    fn spoil(&mut self, key: Key, index: bool) {
        let (name, version) = (key.0.text(), key.1.text());
        let (bytes, inner) = pack(b"{<<\"name\">>,<<\"evil\">>}.\n", format!("evil {name} {version}").as_bytes());
        self.reference.public.spoiled = true;
        let mut registry = TestRegistry::new("hexpm");
        registry.signer = Signer::new(&PrivateKey::from_pem(&OWN[1]).unwrap()).unwrap();
        registry.add_bytes(name, version, bytes.clone(), inner);
        for prefix in ["", "/g"] {
            match index {
                true => self.hub.upstream.serve(&format!("{prefix}/packages/{name}"), registry.package(name)),
                false => self.hub.upstream.serve(&format!("{prefix}/tarballs/{name}-{version}.tar"), bytes.clone()),
            }
        }
    }

    async fn mood(&mut self, who: Who, mood: Mood) {
        let before = std::mem::replace(&mut self.reference.registry(who).mood, mood);
        let (evil, count) = (self.evil.url(), Arc::new(AtomicUsize::new(0)));
        let upstream = self.upstream(who);
        if before == Mood::Down && mood != Mood::Down {
            upstream.switch_on();
        }
        upstream.everything(match mood {
            Mood::Up | Mood::Down => None,
            Mood::NotFound => Some(Scripted::status(404)),
            Mood::Forbidden => Some(Scripted::status(403)),
            Mood::Flaky => Some(Scripted::decide(move |_| match count.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => Scripted::route(),
                _ => Scripted::status(503),
            })),
            Mood::Elsewhere => Some(Scripted::decide(move |call| {
                let location = format!("{evil}{}", call.target);
                Scripted::redirect(302, &location)
            })),
        });
        if mood == Mood::Down && before != Mood::Down {
            upstream.switch_off().await;
        }
    }

    async fn pin(&mut self, holder: Holder, key: Key) {
        let Some(wanted) = self.wanted(holder, key) else { return };
        let digest = wanted.releases.iter().next().unwrap().outer.unwrap().to_owned();
        let (repository, reason) = (holder.key().to_owned(), "SEC-1".to_owned());
        let order = Command::Pin { repository, releases: wanted.releases, until: None, reason };
        // Whether or not all of it was done.
        let _ = self.hub.app().core().administer(order, By::console()).await;
        self.reference.pin(holder, &digest);
    }

    /// What a lock file names of a release that the public registry, or the private one, has.
    fn wanted(&mut self, holder: Holder, key: Key) -> Option<Prefetch> {
        if holder == Holder::Guarded && !is_guarded(key.0) {
            return None;
        }
        let listed = self.reference.public.now.get(&key).or_else(|| self.reference.corp.now.get(&key))?;
        let inner = self.inner[&listed.digest].to_string();
        let locked = Locked {
            repository: None,
            package: key.0.text(),
            version: key.1.text(),
            inner: Some(&inner),
            outer: Some(&listed.digest),
        };
        let mut releases = LockedReleases::default();
        releases.push(locked).unwrap();
        let repository = Some(holder.key().to_owned());
        Some(Prefetch { repository, releases, docs: true, latest: 0, closure: false })
    }

    /// Does work to its end, whatever comes of it.
    async fn work(&self, job: Job) {
        let (reporter, mut events) = Reporter::new();
        let listening = async { while events.recv().await.is_some() {} };
        let (_outcome, ()) = tokio::join!(self.hub.app().core().work(job, reporter), listening);
    }

    async fn bundle(&mut self, holder: Holder, key: Key) -> Result<(), String> {
        let Some(wanted) = self.wanted(holder, key) else { return Ok(()) };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.bundle");
        let create = CreateBundle { wanted, installers: false, since: None, file: file.clone() };
        self.work(Job::Bundle(Bundle::Create(create))).await;
        // None is made where something that goes into it cannot be had.
        if let Ok(file) = std::fs::File::open(&file) {
            let mut archive = tar::Archive::new(file);
            for entry in archive.entries().unwrap() {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry.unwrap(), &mut bytes).unwrap();
                self.judge_carried(holder, "a bundle", &bytes)?;
            }
        }
        Ok(())
    }

    async fn mirror(&mut self, holder: Holder) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let repository = if holder == Holder::Virtual { "upstream" } else { "guarded" };
        let packages =
            if holder == Holder::Virtual { vec![] } else { GUARDED.map(|name| name.text().to_owned()).into() };
        let mirror = Mirror {
            repository: repository.to_owned(),
            packages,
            latest: None,
            since: None,
            docs: true,
            connections: 4,
            rate: None,
            action: MirrorAction::Bring,
            to: Some(folder.path().join("tree")),
        };
        self.work(Job::Mirror(mirror)).await;
        let mut folders = vec![folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => self.judge_carried(holder, "a mirror's folder", &std::fs::read(path).unwrap())?,
                }
            }
        }
        Ok(())
    }
}

/// Whether `guarded` is asked for a name at all.
pub(super) fn is_guarded(name: Name) -> bool {
    GUARDED.contains(&name)
}
