//! What an answer is held against.

use std::collections::BTreeSet;

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::trust::{Origin, PrivateKey, PublicKey, verify};
use prost::Message as _;
use serde_json::Value;

use super::reference::{Content, Key, Source};
use super::steps::{Base, Caller, Holder, Mood, Name, Version, Way, Who};
use super::ways::{Asked, Place};
use super::world::{OWN, World};
use crate::support::hub::Answer;

impl World {
    pub(super) fn judge(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        self.reference.now = self.now();
        if answer.status >= 500 && ![500, 502, 503, 504].contains(&answer.status) {
            return Err(asked.wrong(answer, "no such status"));
        }
        let place = asked.base.place();
        let is_answer = answer.status < 400;
        match asked.way {
            _ if place == Place::Nowhere => {
                let is_api = matches!(asked.way, Way::Show | Way::ShowRelease | Way::List | Way::Search | Way::Explain);
                if is_answer && !is_api { Err(asked.wrong(answer, "it has no address of its own")) } else { Ok(()) }
            }
            Way::Docs | Way::DocsHead | Way::DocsStar if is_answer => self.judge_docs(asked, answer),
            Way::Policy if is_answer => Err(asked.wrong(answer, "nobody has a policy of that name")),
            Way::Package if is_answer => self.judge_package(asked, answer),
            Way::Names | Way::Versions if is_answer => self.judge_list(asked, answer),
            Way::Show | Way::ShowRelease | Way::List | Way::Search | Way::Explain if is_answer => {
                self.judge_told(asked, answer)
            }
            Way::Get | Way::Mismatch | Way::EmptyCondition | Way::Star | Way::Range | Way::Matching(_) | Way::Head => {
                self.judge_file(asked, answer)
            }
            _ => Ok(()),
        }
    }

    /// What refuses a file at a place.
    fn refuses(&self, asked: &Asked, key: Key, digest: &str, unread: bool) -> Option<String> {
        match asked.base.place() {
            Place::Made(holder) => self.reference.refuses(asked.caller, holder, key, digest, unread),
            Place::Inside => self.reference.refuses_inside(asked.caller, key, digest),
            Place::Nowhere => Some("it has no address of its own".to_owned()),
        }
    }

    fn judge_file(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let is_head = asked.way == Way::Head;
        let tag = answer.header("etag").trim_matches('"').to_owned();
        let tagged = self.by_either_digest(&tag);
        let digest = match answer.status {
            200 if !is_head => Some(Sha256::of(&answer.body).to_string()),
            200 | 206 | 304 => Some(tagged.unwrap_or(tag)),
            _ => None,
        };
        if let Some(digest) = &digest {
            // The licence is read from the file, and HEAD does not fetch it.
            if let Some(why) = self.refuses(asked, asked.key, digest, is_head) {
                return Err(asked.wrong(answer, &why));
            }
            // Whoever says `*` has not said what it has.
            if let (Place::Made(holder), false) = (asked.base.place(), is_head || asked.way == Way::Star) {
                self.reference.note_delivered(holder, asked.key, digest);
            }
        }
        if asked.base.place() == Place::Made(Holder::Guarded) {
            return Ok(());
        }
        let must = match asked.base.place() {
            Place::Inside => self.reference.inside.get(&asked.key).filter(|_| self.may_know_inside(asked.caller)),
            _ => self.reference.must(asked.caller, asked.key),
        };
        match must {
            Some(must) if digest.as_ref() != Some(must) => {
                let lost = format!("it must be answered with {must}: {}", answer.text());
                Err(asked.wrong(answer, &lost))
            }
            _ => Ok(()),
        }
    }

    fn may_know_inside(&self, caller: Caller) -> bool {
        self.reference.may_know(caller, Name::AcmeCore)
    }

    /// The digest of a file that has this one, whole or over its parts.
    fn by_either_digest(&self, digest: &str) -> Option<String> {
        let mut inner = self.inner.iter();
        let found = inner.find(|(outer, inner)| outer.as_str() == digest || inner.to_string() == digest);
        found.map(|(outer, _)| outer.clone())
    }

    fn judge_docs(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        // An answer without a body is about the file that its entity tag names.
        let digest = match asked.way {
            Way::Docs if answer.status == 200 => Sha256::of(&answer.body).to_string(),
            _ => answer.header("etag").trim_matches('"').to_owned(),
        };
        let known = self.docs.get(&digest).filter(|content| content.key == asked.key);
        let Some(Content { source, .. }) = known.copied() else {
            return Err(asked.wrong(answer, "documentation that nobody has under this name"));
        };
        let why = match source {
            Source::Evil => Some("documentation of another origin".to_owned()),
            Source::Elsewhere(Who::Public) => self.refuses_every(asked, asked.key, false),
            _ if !self.reference.may_know(asked.caller, asked.key.0) => Some("private documentation".to_owned()),
            _ => None,
        };
        why.map_or(Ok(()), |why| Err(asked.wrong(answer, &why)))
    }

    /// What refuses each public file that was ever known under a name; `None` if one of them may be had.
    fn refuses_every(&self, asked: &Asked, key: Key, unread: bool) -> Option<String> {
        let contents = self.reference.contents.iter();
        let public =
            contents.filter(|(_, content)| content.key == key && content.source == Source::Elsewhere(Who::Public));
        let mut reasons = public.map(|(digest, _)| self.refuses(asked, key, digest, unread));
        let first = reasons.next()??;
        reasons.all(|reason| reason.is_some()).then_some(first)
    }

    /// The payload of a registry resource, verified with the key that the address stands for.
    fn payload(&self, asked: &Asked, answer: &Answer, resource: &RegistryResource) -> Result<bytes::Bytes, String> {
        let which = usize::from(matches!(asked.base, Base::Keys | Base::OuterKeys));
        let key = PrivateKey::from_pem(&OWN[which]).unwrap();
        let key = PublicKey::from_pem(key.public().to_spki_pem()).unwrap();
        let repository: RepoName = asked.base.name().parse().unwrap();
        let envelope = Envelope::open(answer.body.clone(), 1 << 24).map_err(|error| error.to_string())?;
        let verified = verify(envelope, &[key], &Origin { repository: &repository, resource });
        let verified = verified.map_err(|error| asked.wrong(answer, &format!("it does not verify: {error}")))?;
        Ok(verified.payload().clone())
    }

    fn judge_package(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let name = asked.key.0;
        let resource = RegistryResource::Package(name.text().parse().unwrap());
        let payload = self.payload(asked, answer, &resource)?;
        for release in Package::decode(payload).unwrap().releases {
            let Some(version) = Version::ALL.into_iter().find(|version| version.text() == release.version) else {
                return Err(asked.wrong(answer, "a version that nobody has"));
            };
            let bytes = release.outer_checksum.as_ref().unwrap_or(&release.inner_checksum);
            let digest: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let digest = self.by_either_digest(&digest).unwrap_or(digest);
            if let Some(why) = self.refuses(asked, (name, version), &digest, true) {
                let why = format!("{} is listed: {why}", release.version);
                return Err(asked.wrong(answer, &why));
            }
        }
        Ok(())
    }

    fn judge_list(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let listed: Vec<(String, Vec<String>)> = if asked.way == Way::Names {
            let payload = self.payload(asked, answer, &RegistryResource::Names)?;
            Names::decode(payload).unwrap().packages.into_iter().map(|package| (package.name, Vec::new())).collect()
        } else {
            let payload = self.payload(asked, answer, &RegistryResource::Versions)?;
            let packages = Versions::decode(payload).unwrap().packages;
            packages.into_iter().map(|package| (package.name, package.versions)).collect()
        };
        for (name, versions) in listed {
            let name = Name::ALL.into_iter().find(|known| known.text() == name);
            let Some(name) = name else { return Err(asked.wrong(answer, "a name that nobody has")) };
            self.may_see(asked, answer, name)?;
            let versions: BTreeSet<Version> =
                Version::ALL.into_iter().filter(|known| versions.iter().any(|listed| listed == known.text())).collect();
            for version in versions {
                self.may_list(asked, answer, (name, version))?;
            }
        }
        Ok(())
    }

    /// Whether a name may be shown to whoever asks.
    fn may_see(&self, asked: &Asked, answer: &Answer, name: Name) -> Result<(), String> {
        let private = self.reference.is_known_as_private(name) && asked.base.place() != Place::Made(Holder::Guarded);
        let known = self.reference.may_know(asked.caller, name);
        if private && !known {
            return Err(asked.wrong(answer, &format!("it tells the private name {}", name.text())));
        }
        Ok(())
    }

    /// Whether a version may be in a list: a private one, or a public one of which some file may be had.
    fn may_list(&self, asked: &Asked, answer: &Answer, key: Key) -> Result<(), String> {
        let mut contents = self.reference.contents.values();
        let private = contents.any(|content| {
            let inside = content.source == Source::Inside && self.reference.inside.contains_key(&key);
            content.key == key && (inside || content.source == Source::Elsewhere(Who::Corp))
        });
        match self.refuses_every(asked, key, true).filter(|_| !private) {
            Some(why) => {
                let why = format!("{} {} is listed: {why}", key.0.text(), key.1.text());
                Err(asked.wrong(answer, &why))
            }
            None => Ok(()),
        }
    }

    /// What the API tells.
    fn judge_told(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let Ok(told) = serde_json::from_slice::<Value>(&answer.body) else { return Ok(()) };
        if asked.way == Way::Explain {
            // A local repository has no members: whoever may read it knows all.
            let is_local = asked.base == Base::Acme && asked.caller == Caller::Member;
            let knows_all =
                is_local || asked.caller == Caller::Reader || asked.base.place() == Place::Made(Holder::Guarded);
            return if knows_all {
                Ok(())
            } else {
                Err(asked.wrong(answer, "it tells of members that are not for everybody"))
            };
        }
        let packages = match &told {
            Value::Array(packages) => packages.iter().collect(),
            one => vec![one],
        };
        for package in packages {
            let name =
                if asked.way == Way::ShowRelease { asked.key.0.text() } else { package["name"].as_str().unwrap_or("") };
            let Some(name) = Name::ALL.into_iter().find(|known| known.text() == name) else { continue };
            self.may_see(asked, answer, name)?;
            let mut versions: Vec<&str> = package["version"].as_str().into_iter().collect();
            versions
                .extend(package["releases"].as_array().into_iter().flatten().filter_map(|one| one["version"].as_str()));
            for version in Version::ALL.into_iter().filter(|known| versions.contains(&known.text())) {
                self.may_list(asked, answer, (name, version))?;
            }
        }
        Ok(())
    }

    /// What was published is in every list, for those who may read it.
    pub(super) fn is_told(&self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let (reference, name) = (&self.reference, asked.key.0);
        let all = asked.base.place() == Place::Inside || reference.private_is_answered();
        let whole = asked.base.place() == Place::Inside || reference.public.mood == Mood::Up;
        let expected = match asked.way {
            Way::Package | Way::Show => all,
            Way::Names | Way::Versions | Way::List | Way::Search => all && whole && !reference.public.spoiled,
            _ => false,
        };
        let is_guarded = matches!(asked.base.place(), Place::Made(Holder::Guarded) | Place::Nowhere);
        let mut published = reference.inside.keys().filter(|(published, _)| *published == name).peekable();
        if !expected || is_guarded || !self.may_know_inside(asked.caller) || published.peek().is_none() {
            return Ok(());
        }
        if answer.status != 200 {
            return Err(asked.wrong(answer, &format!("it must tell of what was published: {}", answer.text())));
        }
        let payload = Envelope::open(answer.body.clone(), 1 << 24).map(|envelope| envelope.payload);
        let told = payload.map_or_else(|_| answer.text(), |payload| String::from_utf8_lossy(&payload).into_owned());
        let versions = matches!(asked.way, Way::Package | Way::Show | Way::Versions);
        let mut missing = published.filter(|(_, version)| versions && !told.contains(version.text()));
        if let Some((_, version)) = missing.next() {
            return Err(asked.wrong(answer, &format!("it does not tell of {}, which was published", version.text())));
        }
        if told.contains(name.text()) { Ok(()) } else { Err(asked.wrong(answer, "it does not tell of its name")) }
    }

    /// A file that leaves in a bundle or a folder: whoever can read it, has it.
    pub(super) fn judge_carried(&self, holder: Holder, what: &str, bytes: &[u8]) -> Result<(), String> {
        let digest = Sha256::of(bytes).to_string();
        if let Some(content) = self.reference.contents.get(&digest) {
            let refused = self.reference.refuses(Caller::Reader, holder, content.key, &digest, false);
            if let Some(why) = refused {
                return Err(format!("{what} of {holder:?} has {} {:?}: {why}", content.key.0.text(), content.key.1));
            }
        }
        match self.docs.get(&digest) {
            Some(content) if content.source == Source::Evil => {
                Err(format!("{what} has documentation of another origin"))
            }
            _ => Ok(()),
        }
    }
}
