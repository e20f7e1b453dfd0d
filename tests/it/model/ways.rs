//! The ways out: how each is asked, and what upstreams are asked meanwhile.

use std::collections::BTreeSet;

use reqwest::Method;

use super::reference::Key;
use super::steps::{Base, Caller, Holder, Mood, Name, Way};
use super::world::{CREDENTIALS, FOREIGN, World, is_guarded};
use crate::support::hub::Answer;

/// What a base is an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
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

    pub(super) fn place(self) -> Place {
        match self {
            Self::Acme => Place::Inside,
            Self::Corp | Self::Upstream => Place::Nowhere,
            Self::Guarded => Place::Made(Holder::Guarded),
            _ => Place::Made(Holder::Virtual),
        }
    }

    /// The name in what it signs.
    pub(super) fn name(self) -> &'static str {
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
            Self::Docs | Self::DocsHead | Self::DocsStar => format!("{prefix}/docs/{name}-{version}.tar.gz"),
            Self::Policy => format!("{prefix}/policies/{name}"),
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
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) base: Base,
    pub(super) way: Way,
    pub(super) key: Key,
}

impl Asked {
    pub(super) fn wrong(&self, answer: &Answer, why: &str) -> String {
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
        let method = if matches!(asked.way, Way::Head | Way::DocsHead) { Method::HEAD } else { Method::GET };
        self.hub.send(method, &asked.way.path(asked.base, asked.key), &headers).await
    }

    /// Looks at what upstreams have been asked since the last time: no credential of others, and no private name.
    pub(super) fn look_at_requests(&mut self, names: bool) -> Result<(), String> {
        let servers = [&self.hub.upstream, &self.corp, &self.evil];
        let (mut list, mut named) = (false, BTreeSet::new());
        for (at, server) in servers.into_iter().enumerate() {
            let calls = server.calls_since(self.looked_at[at]);
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
                let of_others = self.reference.claimed.iter().find(|name| !self.reference.heard.contains(name));
                if is_corp && let Some(name) = of_others.filter(|name| call.target.contains(name.text())) {
                    let (name, target) = (name.text(), call.target);
                    return Err(format!("a private upstream was told the name {name} of another member: {target}"));
                }
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
}
