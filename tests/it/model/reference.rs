//! The reference: what may be answered to whom, from what has happened. It knows none of the daemon's code.
//!
//! It predicts as much as the promises say. Where the daemon may be late by design (what is fresh, what is stale while an
//! upstream fails), an answer has to fit one of the states that it may still know.

use std::collections::{BTreeMap, BTreeSet};

use super::steps::{Caller, Facts, Holder, Mood, Name, Setup, Sums, Version, Who};

/// SHA-256 of a file, in hex.
pub(super) type Digest = String;

/// A release by its name.
pub(super) type Key = (Name, Version);

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// `cooldown: 7d`.
const COOLDOWN: u64 = 7 * DAY;
/// `max_stale: 1h` of every remote repository.
const MAX_STALE: u64 = HOUR;

/// Whose bytes a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Inside,
    Elsewhere(Who),
    /// Where redirects of the public registry lead.
    Evil,
}

/// What is known of a file for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pub(super) source: Source,
    pub(super) key: Key,
}

/// What a registry elsewhere says of a release at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) digest: Digest,
    pub(super) facts: Facts,
    /// In seconds.
    pub(super) published: u64,
}

pub(super) type State = BTreeMap<Key, Listed>;

/// A registry elsewhere, and what it was before.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) now: State,
    /// What was signed before, and until when.
    pub(super) past: Vec<(u64, State)>,
    pub(super) mood: Mood,
    /// Whether it shows what it has not signed.
    pub(super) spoiled: bool,
}

impl Registry {
    fn new() -> Self {
        Self { now: State::new(), past: Vec::new(), mood: Mood::Up, spoiled: false }
    }

    /// Begins a new state.
    pub(super) fn change(&mut self, at: u64, state: State) {
        let before = std::mem::replace(&mut self.now, state);
        self.past.push((at, before));
        self.spoiled = false;
    }

    /// Every state that the daemon may take for the present one.
    fn visible(&self, now: u64, ttl: u64) -> Vec<&State> {
        let is_up = self.mood == Mood::Up && !self.spoiled;
        let horizon = if is_up { ttl + 1 } else { MAX_STALE + ttl + 1 };
        let past = self.past.iter().filter(|(ended, _)| ended + horizon >= now && (ttl > 0 || !is_up));
        past.map(|(_, state)| state).chain([&self.now]).collect()
    }

    fn ever(&self) -> impl DoubleEndedIterator<Item = &State> {
        self.past.iter().map(|(_, state)| state).chain([&self.now])
    }

    fn lists(&self, name: Name) -> bool {
        self.now.keys().any(|(listed, _)| *listed == name)
    }
}

/// Whether the signed index has an advisory that counts.
fn has_advisory(name: Name, listed: &Listed) -> bool {
    listed.facts.advisory && name != Name::Plug
}

/// What was done, and what follows from it.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) setup: Setup,
    /// In seconds.
    pub(super) now: u64,
    pub(super) contents: BTreeMap<Digest, Content>,
    /// What the local repository has acknowledged and not removed.
    pub(super) inside: BTreeMap<Key, Digest>,
    /// Names that it has ever had, unless they were given back.
    pub(super) claimed: BTreeSet<Name>,
    /// What is never to be published again.
    pub(super) erased: BTreeSet<Key>,
    pub(super) public: Registry,
    pub(super) corp: Registry,
    /// Names of the private registry that the daemon has been told.
    pub(super) heard: BTreeSet<Name>,
    /// When it was told the whole list last, unless that was thrown away.
    pub(super) heard_at: Option<u64>,
    pub(super) enforced: bool,
    /// What a dump has advisories about.
    pub(super) dumped: BTreeSet<Key>,
    pinned: BTreeSet<(Holder, Digest)>,
    /// What was answered to a client while no rule held it.
    delivered: BTreeSet<(Holder, Digest)>,
    /// The first file that was answered, where checksums must not change.
    first: BTreeMap<(Holder, Key), Digest>,
}

impl Reference {
    pub(super) fn new(setup: Setup, now: u64) -> Self {
        Self {
            setup,
            now,
            contents: BTreeMap::new(),
            inside: BTreeMap::new(),
            claimed: BTreeSet::new(),
            erased: BTreeSet::new(),
            public: Registry::new(),
            corp: Registry::new(),
            heard: BTreeSet::new(),
            heard_at: None,
            enforced: setup.enforced,
            dumped: BTreeSet::new(),
            pinned: BTreeSet::new(),
            delivered: BTreeSet::new(),
            first: BTreeMap::new(),
        }
    }

    pub(super) fn registry(&mut self, who: Who) -> &mut Registry {
        match who {
            Who::Public => &mut self.public,
            Who::Corp => &mut self.corp,
        }
    }

    /// The private registry has answered for its list, or for some of its packages.
    pub(super) fn heard_of(&mut self, list: bool, named: &BTreeSet<Name>) {
        let listed = self.corp.now.keys().map(|(name, _)| *name);
        self.heard.extend(listed.filter(|name| list || named.contains(name)));
        if list {
            self.heard_at = Some(self.now);
        }
    }

    /// Whether nobody outside may be asked about a name, or answer it.
    pub(super) fn is_known_as_private(&self, name: Name) -> bool {
        name.is_reserved() || self.claimed.contains(&name) || self.heard.contains(&name)
    }

    /// Whether public bytes under this name are an impostor's: it is known as private, or the private registry has it and the
    /// daemon has no signed word that it has not.
    fn is_private(&self, name: Name) -> bool {
        let spoken = matches!(self.corp.mood, Mood::Up | Mood::Flaky | Mood::Once);
        let silent = matches!(self.corp.mood, Mood::Down | Mood::Flaky | Mood::Once);
        let is_old = self.heard_at.is_none_or(|at| self.now > at + MAX_STALE + 1);
        // What is not heard of may be any name's owner.
        self.is_known_as_private(name) || (is_old && !spoken) || (self.corp.lists(name) && (is_old || !silent))
    }

    /// Whether a private name may be told to somebody.
    pub(super) fn may_know(&self, caller: Caller, name: Name) -> bool {
        match caller {
            Caller::Reader => true,
            Caller::Member => name != Name::CorpLib,
            Caller::Anonymous | Caller::Stranger | Caller::Guest => false,
        }
    }

    /// The rule that holds a release by what an index says of it.
    fn rule(&self, key: Key, listed: &Listed, state: &State) -> Option<&'static str> {
        let facts = listed.facts;
        if facts.agpl {
            return Some("licence");
        }
        if facts.retired {
            return Some("retirement");
        }
        if has_advisory(key.0, listed) || self.dumped.contains(&key) {
            return Some("advisory");
        }
        let young = listed.published + COOLDOWN > self.now;
        (young && !(self.setup.fixes && self.fixes(key, state))).then_some("cooldown")
    }

    /// Whether a release fixes what the newest stable release before it, which is old enough, has an advisory for.
    fn fixes(&self, (name, version): Key, state: &State) -> bool {
        let older = state.iter().filter(|((other, older), listed)| {
            let stable = *older != Version::Candidate;
            *other == name && stable && *older < version && listed.published + COOLDOWN <= self.now
        });
        older.max_by_key(|((_, older), _)| *older).is_some_and(|(_, listed)| has_advisory(name, listed))
    }

    /// The rule that holds a file in every state that the daemon may know; `None` where it may be had.
    pub(super) fn held(&self, holder: Holder, digest: &str) -> Option<&'static str> {
        if !self.enforced || self.pinned.contains(&(holder, digest.to_owned())) {
            return None;
        }
        let rule = self.would_hold(digest)?;
        let owed = self.delivered.contains(&(holder, digest.to_owned()));
        (rule == "licence" || !owed).then_some(rule)
    }

    /// The same, whether or not the policy is enforced, and whatever is owed.
    fn would_hold(&self, digest: &str) -> Option<&'static str> {
        let mut rules = self.places(digest).into_iter().map(|(key, listed, state)| self.rule(key, listed, state));
        let first = rules.next()??;
        rules.all(|rule| rule.is_some()).then_some(first)
    }

    /// Where a public file is listed, in the states that the daemon may know; if in none, in the last that had it.
    fn places(&self, digest: &str) -> Vec<(Key, &Listed, &State)> {
        let find = |state: &'_ State| state.iter().find(|(_, listed)| listed.digest == digest).map(|(key, _)| *key);
        let visible = self.public.visible(self.now, self.setup.ttl);
        let mut found: Vec<_> = visible.into_iter().filter_map(|state| Some((find(state)?, state))).collect();
        if found.is_empty() {
            found.extend(self.public.ever().rev().find_map(|state| Some((find(state)?, state))));
        }
        found.into_iter().map(|(key, state)| (key, &state[&key], state)).collect()
    }

    fn is_listed(&self, digest: &str) -> bool {
        let visible = self.public.visible(self.now, self.setup.ttl);
        visible.iter().any(|state| state.values().any(|listed| listed.digest == digest))
    }

    /// Why a file must not be answered under a name below the local repository.
    pub(super) fn refuses_inside(&self, caller: Caller, key: Key, digest: &str) -> Option<String> {
        if !self.may_know(caller, Name::AcmeCore) {
            return Some("no right to read it".to_owned());
        }
        (self.inside.get(&key).map(String::as_str) != Some(digest)).then(|| "not what was published last".to_owned())
    }

    /// Why a file must not be answered under a name by `holder`, or a repository made of it; `None` where it may be.
    /// `unread`: its licence need not have been read.
    pub(super) fn refuses(
        &self,
        caller: Caller,
        holder: Holder,
        key: Key,
        digest: &str,
        unread: bool,
    ) -> Option<String> {
        let Some(content) = self.contents.get(digest) else { return Some("bytes that nobody has signed".to_owned()) };
        if content.key != key {
            return Some(format!("the bytes of another release, {:?}", content.key));
        }
        match content.source {
            Source::Evil => Some("the bytes of another origin".to_owned()),
            Source::Inside | Source::Elsewhere(Who::Corp) if holder == Holder::Guarded => {
                Some("the bytes of a repository that is no part of it".to_owned())
            }
            Source::Inside | Source::Elsewhere(Who::Corp) if !self.may_know(caller, key.0) => {
                Some("a private release to somebody without a right to read it".to_owned())
            }
            Source::Inside => self.refuses_inside(Caller::Reader, key, digest),
            Source::Elsewhere(Who::Corp) => None,
            Source::Elsewhere(Who::Public) => self.refuses_public(holder, key, digest, unread),
        }
    }

    fn refuses_public(&self, holder: Holder, key: Key, digest: &str, unread: bool) -> Option<String> {
        if holder == Holder::Virtual && self.is_private(key.0) {
            return Some("an impostor under a private name".to_owned());
        }
        if self.setup.refuse && self.first.get(&(holder, key)).is_some_and(|first| first != digest) {
            return Some("other bytes than before, and checksums must not change".to_owned());
        }
        if let Some(rule) = self.held(holder, digest).filter(|rule| !(unread && *rule == "licence")) {
            return Some(format!("it is held ({rule})"));
        }
        let owed = [&self.pinned, &self.delivered].iter().any(|set| set.contains(&(holder, digest.to_owned())));
        let gone = !self.is_listed(digest) && !self.setup.keep && !owed;
        gone.then(|| "no index lists it any more".to_owned())
    }

    /// A client has been given a file, or told that it has it.
    pub(super) fn note_delivered(&mut self, holder: Holder, key: Key, digest: &str) {
        let public = self.contents.get(digest).is_some_and(|content| content.source == Source::Elsewhere(Who::Public));
        if !public {
            return;
        }
        self.first.entry((holder, key)).or_insert_with(|| digest.to_owned());
        if self.would_hold(digest).is_none() || self.held(holder, digest).is_none() && self.enforced {
            self.delivered.insert((holder, digest.to_owned()));
        }
    }

    pub(super) fn pin(&mut self, holder: Holder, digest: &str) {
        self.pinned.insert((holder, digest.to_owned()));
    }

    /// Whether the private registry keeps nobody from an answer: it was heard of late, or is no more than unreachable.
    pub(super) fn private_is_answered(&self) -> bool {
        match self.corp.mood {
            Mood::Up => true,
            Mood::Down => self.heard_at.is_some_and(|at| self.now + 60 < at + MAX_STALE),
            Mood::NotFound | Mood::Forbidden | Mood::Flaky | Mood::Once | Mood::Elsewhere => false,
        }
    }

    /// The one file that a caller must be given below `hexpm`; `None` where a refusal or another state is within the rules.
    pub(super) fn must(&self, caller: Caller, key: Key) -> Option<&Digest> {
        if !self.private_is_answered() {
            return None;
        }
        if let Some(digest) = self.inside.get(&key) {
            return self.may_know(caller, key.0).then_some(digest);
        }
        if self.is_private(key.0) || self.public.mood != Mood::Up || self.public.spoiled {
            return None;
        }
        let listed = self.public.now.get(&key).filter(|listed| listed.facts.sums == Sums::Both)?;
        let only = self.public.ever().filter_map(|state| state.get(&key)).all(|other| other.digest == listed.digest);
        let may_be_had = |state: &&State| {
            let rule = state.get(&key).map(|listed| self.rule(key, listed, state));
            rule.is_some_and(|rule| rule.is_none() || !self.enforced)
        };
        (only && self.public.visible(self.now, self.setup.ttl).iter().all(may_be_had)).then_some(&listed.digest)
    }

    /// Whether a member must be able to publish a release, since the name was the organization's before.
    pub(super) fn must_take(&self, key: Key) -> bool {
        self.claimed.contains(&key.0) && !self.erased.contains(&key)
    }
}
