//! The ways out: how each is asked, and what its answer is held against.

use std::collections::BTreeSet;

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::trust::{Origin, PrivateKey, PublicKey, verify};
use prost::Message as _;
use reqwest::Method;
use serde_json::Value;

use super::reference::{Content, Key, Source};
use super::steps::{Base, Caller, Holder, Mood, Name, Version, Way, Who};
use super::world::{CREDENTIALS, FOREIGN, OWN, World, is_guarded};
use crate::support::hub::Answer;

/// What a base is an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inside,
    Made(Holder),
    /// A member that answers at no address of its own.
    Nowhere,
}

impl Base {
    fn path(self) -> &'static str {
        match self {
            Self::Root | Self::Host => "",
            Self::Keys => "/keys/k0",
            Self::Itself => "/repos/hexpm",
            Self::Outer => "/repos/outer",
            Self::OuterKeys => "/keys/k0/repos/outer",
            Self::OuterOrganization => "/repos/hexpm:outer",
            Self::Acme => "/repos/acme",
            Self::Corp => "/repos/corp",
            Self::Upstream => "/repos/upstream",
            Self::Guarded => "/repos/guarded",
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Acme => Place::Inside,
            Self::Corp | Self::Upstream => Place::Nowhere,
            Self::Guarded => Place::Made(Holder::Guarded),
            _ => Place::Made(Holder::Virtual),
        }
    }

    /// The name in what it signs.
    fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Outer | Self::OuterKeys | Self::OuterOrganization => "outer",
            _ => "hexpm",
        }
    }
}

impl Way {
    /// Where it is asked: below the base, or below its API.
    fn path(self, base: Base, (name, version): Key) -> String {
        let (prefix, name, version) = (base.path(), name.text(), version.text());
        let api = match base {
            // The API has no other addresses.
            Base::Keys | Base::Host | Base::Root => "/api".to_owned(),
            Base::OuterKeys | Base::OuterOrganization => "/api/repos/outer".to_owned(),
            _ => format!("{prefix}/api"),
        };
        match self {
            Self::Docs | Self::DocsStar => format!("{prefix}/docs/{name}-{version}.tar.gz"),
            Self::Package => format!("{prefix}/packages/{name}"),
            Self::Names => format!("{prefix}/names"),
            Self::Versions => format!("{prefix}/versions"),
            Self::Show => format!("{api}/packages/{name}"),
            Self::ShowRelease => format!("{api}/packages/{name}/releases/{version}"),
            Self::List => format!("{api}/packages"),
            Self::Search => format!("{api}/packages?search={}", name.to_uppercase()),
            Self::Explain => format!("{api}/explain/{name}/{version}"),
            _ => format!("{prefix}/tarballs/{name}-{version}.tar"),
        }
    }
}

/// What somebody asks, for complaints.
struct Asked {
    caller: Caller,
    base: Base,
    way: Way,
    key: Key,
}

impl Asked {
    fn wrong(&self, answer: &Answer, why: &str) -> String {
        let Self { caller, base, way, key: (name, version) } = self;
        let (name, version) = (name.text(), version.text());
        format!("{caller:?} asked {base:?} for {way:?} {name} {version} and was answered {}: {why}", answer.status)
    }
}

impl World {
    /// Asks, and holds the answer against the reference.
    pub(super) async fn ask(&mut self, caller: Caller, base: Base, way: Way, key: Key) -> Result<(), String> {
        if base.place() == Place::Made(Holder::Guarded) && !is_guarded(key.0) {
            return Ok(());
        }
        let asked = Asked { caller, base, way, key };
        let answer = self.send(&asked).await;
        self.answered = answer.status;
        self.look_at_requests(true)?;
        self.judge(&asked, &answer)?;
        self.is_told(&asked, &answer)
    }

    async fn send(&self, asked: &Asked) -> Answer {
        let authorization = match asked.caller {
            Caller::Anonymous => None,
            Caller::Stranger => Some(FOREIGN),
            Caller::Guest => Some(self.keys["guest"].as_str()),
            Caller::Member => Some(self.keys["member"].as_str()),
            Caller::Reader => Some(self.keys["reader"].as_str()),
        };
        let condition = match asked.way {
            Way::Matching(which) => {
                let known = self.reference.contents.iter().filter(|(_, content)| content.key == asked.key);
                let known: Vec<_> = known.map(|(digest, _)| digest).collect();
                let at = usize::from(which).checked_rem(known.len());
                Some(at.map_or_else(|| "\"none\"".to_owned(), |at| format!("\"{}\"", known[at])))
            }
            Way::Mismatch => Some(format!("\"{}\"", "0".repeat(64))),
            Way::EmptyCondition => Some(String::new()),
            Way::Star | Way::DocsStar => Some("*".to_owned()),
            _ => None,
        };
        let mut headers = vec![("user-agent", "hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0) (OTP/25)")];
        headers.extend(authorization.map(|key| ("authorization", key)));
        headers.extend(condition.as_deref().map(|condition| ("if-none-match", condition)));
        if asked.base == Base::Host {
            headers.push(("host", "packages.test"));
        }
        if asked.way == Way::Range {
            headers.push(("range", "bytes=0-99"));
        }
        let is_api = matches!(asked.way, Way::Show | Way::ShowRelease | Way::List | Way::Search | Way::Explain);
        if is_api {
            headers.push(("accept", "application/json"));
        }
        let method = if asked.way == Way::Head { Method::HEAD } else { Method::GET };
        self.hub.send(method, &asked.way.path(asked.base, asked.key), &headers).await
    }

    /// Looks at what upstreams have been asked since the last time: no credential of others, and no private name.
    pub(super) fn look_at_requests(&mut self, names: bool) -> Result<(), String> {
        let servers = [&self.hub.upstream, &self.corp, &self.evil];
        let (mut list, mut named) = (false, BTreeSet::new());
        for (at, server) in servers.into_iter().enumerate() {
            let calls = server.calls().split_off(self.looked_at[at]);
            self.looked_at[at] += calls.len();
            let is_corp = at == 1;
            for call in calls {
                if is_corp {
                    list |= call.path == "/names";
                    let package = call.path.strip_prefix("/packages/");
                    named.extend(Name::ALL.into_iter().filter(|name| package == Some(name.text())));
                }
                let credentials = call.header("authorization");
                if credentials.is_some_and(|found| !is_corp || found != CREDENTIALS) {
                    return Err(format!("an upstream was shown credentials: {} {:?}", call.path, call.headers));
                }
                let headers = format!("{:?}", call.headers);
                if self.keys.values().any(|key| headers.contains(key.as_str()) || call.target.contains(key.as_str())) {
                    return Err(format!("an upstream was shown a key of this server: {} {headers}", call.path));
                }
                let told = Name::ALL.into_iter().filter(|name| self.reference.is_known_as_private(*name));
                let told = told.into_iter().find(|name| call.target.to_lowercase().contains(name.text()));
                // What an upstream lists itself is looked at in the background, for the policies that hold for it.
                let is_listed = |name: &Name| {
                    let registry = &self.reference.public;
                    let mut states = registry.past.iter().map(|(_, state)| state).chain([&registry.now]);
                    call.path.ends_with(&format!("/packages/{}", name.text()))
                        && states.any(|state| state.keys().any(|(listed, _)| listed == name))
                };
                if let Some(name) = told.filter(|name| names && !is_corp && !is_listed(name)) {
                    return Err(format!(
                        "a public upstream was told the private name {}: {}",
                        name.text(),
                        call.target
                    ));
                }
            }
        }
        if self.reference.corp.mood == Mood::Up {
            self.reference.heard_of(list, &named);
        }
        Ok(())
    }

    fn judge(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
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
            Way::Docs | Way::DocsStar if is_answer => self.judge_docs(asked, answer),
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
        // What has not changed is the file that the answer's entity tag names.
        let digest = match answer.status {
            304 => answer.header("etag").trim_matches('"').to_owned(),
            _ => Sha256::of(&answer.body).to_string(),
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
    fn is_told(&self, asked: &Asked, answer: &Answer) -> Result<(), String> {
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
