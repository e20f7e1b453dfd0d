//! The registries elsewhere: what they have, sign and answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{RetirementStatus, SecurityAdvisory};
use hexkeep::trust::{PrivateKey, Signer};
use parking_lot::Mutex;

use super::reference::{Content, Digest, Key, Listed, Source, State};
use super::steps::{Facts, Mood, Name, Sums, Version, Who};
use super::world::{OWN, World};
use crate::support::local::docs;
use crate::support::registry::TestRegistry;
use crate::support::tarballs::pack;
use crate::support::upstream::{ScriptedUpstream, Step as Scripted};

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
    pub(super) fn upstream(&self, who: Who) -> &ScriptedUpstream {
        match who {
            Who::Public => &self.hub.upstream,
            Who::Corp => &self.corp,
        }
    }

    pub(super) fn know(&mut self, source: Source, key: Key, bytes: &Bytes, inner: Sha256) -> Digest {
        let digest = Sha256::of(bytes).to_string();
        self.reference.contents.insert(digest.clone(), Content { source, key });
        self.inner.insert(digest.clone(), inner);
        self.bytes.insert(digest.clone(), bytes.clone());
        digest
    }

    /// Signs what a registry elsewhere has and puts it where the daemon asks.
    pub(super) fn serve(&mut self, who: Who) {
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

    pub(super) fn signed(&self, who: Who, state: &State) -> TestRegistry {
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
    pub(super) fn change(&mut self, who: Who, state: State) {
        let now = self.reference.now;
        self.reference.registry(who).change(now, state);
        self.serve(who);
    }

    pub(super) fn release(&mut self, who: Who, key: Key, flavour: u8, facts: Facts) {
        let (bytes, inner) = tarball(who, key.0, key.1, flavour, facts.agpl);
        let digest = self.know(Source::Elsewhere(who), key, &bytes, inner);
        let days = if facts.young { 1 } else { 365 };
        let published = self.reference.now - days * 86_400;
        let mut state = self.reference.registry(who).now.clone();
        state.insert(key, Listed { digest, facts, published });
        self.change(who, state);
    }

    /// Puts bytes that nobody has signed where those of a release are, or an index that lists them.
    pub(super) fn spoil(&mut self, key: Key, index: bool) {
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

    pub(super) async fn mood(&mut self, who: Who, mood: Mood) {
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
            Mood::Once => {
                let answered = Mutex::new(BTreeSet::new());
                Some(Scripted::decide(move |call| match answered.lock().insert(call.path.clone()) {
                    true => Scripted::route(),
                    false => Scripted::status(503),
                }))
            }
            Mood::Elsewhere => Some(Scripted::decide(move |call| {
                let location = format!("{evil}{}", call.target);
                Scripted::redirect(302, &location)
            })),
        });
        if mood == Mood::Down && before != Mood::Down {
            upstream.switch_off().await;
        }
    }
}
