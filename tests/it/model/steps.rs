//! What happens in a history: names, releases, steps, and how they are generated and printed.

use std::fmt;

use proptest::prelude::*;

/// A package. `acme_*` is reserved by the virtual repository; nothing else about a name says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    /// Reserved, and published inside.
    AcmeCore,
    /// Reserved, and never published inside.
    AcmeTool,
    /// Published inside, without a reserved prefix.
    Vault,
    /// Of the private registry elsewhere.
    CorpLib,
    Jason,
    /// The policy ignores its signed advisories.
    Plug,
}

impl Name {
    pub(super) const ALL: [Self; 6] =
        [Self::AcmeCore, Self::AcmeTool, Self::Vault, Self::CorpLib, Self::Jason, Self::Plug];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::AcmeCore => "acme_core",
            Self::AcmeTool => "acme_tool",
            Self::Vault => "vault",
            Self::CorpLib => "corp_lib",
            Self::Jason => "jason",
            Self::Plug => "plug",
        }
    }

    /// Whether `reserve: ["acme_*"]` names it.
    pub(super) fn is_reserved(self) -> bool {
        matches!(self, Self::AcmeCore | Self::AcmeTool)
    }
}

/// A version of any package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Version {
    First,
    Second,
    Candidate,
    Third,
}

impl Version {
    pub(super) const ALL: [Self; 4] = [Self::First, Self::Second, Self::Candidate, Self::Third];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::First => "1.0.0",
            Self::Second => "1.1.0",
            Self::Candidate => "1.2.0-rc.1",
            Self::Third => "1.2.0",
        }
    }
}

/// Which checksums an index states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    Both,
    InnerOnly,
    OuterOnly,
}

/// What an upstream says of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its licence is denied; else it is MIT.
    pub(super) agpl: bool,
    /// It was published a day ago; else a year ago.
    pub(super) young: bool,
    /// It has an advisory of the severity `high`.
    pub(super) advisory: bool,
    /// It is retired for security.
    pub(super) retired: bool,
    pub(super) sums: Sums,
}

/// A registry elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Public,
    Corp,
}

/// How a registry elsewhere behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Up,
    /// Connections are refused.
    Down,
    /// 404 to everything.
    NotFound,
    /// 403 to everything.
    Forbidden,
    /// Every second request fails.
    Flaky,
    /// Redirects everything to another origin, which has the same registry and other docs.
    Elsewhere,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Anonymous,
    /// Has a key of another registry.
    Stranger,
    /// Has an account, and no right.
    Guest,
    /// Is a member of the organization of the local repository.
    Member,
    /// May read everything.
    Reader,
}

/// A repository that is asked, at an address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Root,
    Keys,
    Itself,
    Host,
    Outer,
    OuterKeys,
    OuterOrganization,
    Acme,
    Corp,
    Upstream,
    Guarded,
}

/// What is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Get,
    Head,
    /// `If-None-Match` with the digest of one of the files that were ever known under this name.
    Matching(u8),
    Mismatch,
    EmptyCondition,
    Star,
    Range,
    Docs,
    DocsStar,
    Package,
    Names,
    Versions,
    Show,
    ShowRelease,
    List,
    Search,
    Explain,
}

/// A place that has rules of its own, and remembers what it is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// The virtual repository `hexpm`, and what is made of it.
    Virtual,
    /// The remote repository `guarded`.
    Guarded,
}

impl Holder {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Virtual => "hexpm",
            Self::Guarded => "guarded",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Minute,
    /// More than `max_stale`.
    Hours,
    /// More than the cooldown.
    Week,
}

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member publishes or replaces a release.
    Publish(Name, Version, u8),
    Revert(Name, Version),
    RetireHere(Name, Version),
    /// An administrator removes a release, or all.
    Erase(Name, Option<Version>),
    /// An administrator gives a name back.
    Forget(Name),
    /// A registry elsewhere has a release from now on: a new one, one with other facts, or, in another flavour, other bytes.
    Release(Who, Name, Version, u8, Facts),
    Withdraw(Who, Name, Version),
    Drop(Who, Name),
    /// It shows what it had before the last two changes.
    Replay(Who),
    Mood(Who, Mood),
    /// The file of a release is replaced by other bytes that no index lists, until the registry changes.
    SpoilFile(Name, Version),
    /// The index of a package is replaced by one that lists those, signed with another key.
    SpoilIndex(Name, Version),
    /// A dump has an advisory about a release.
    Dump(Name, Version),
    /// The policy is enforced from now on, or in dry run.
    Enforce(bool),
    Pin(Holder, Name, Version),
    Wait(Span),
    Restart,
    /// The daemon dies at once and is started again.
    Die,
    /// An administrator empties the cache.
    Purge,
    Prefetch(Holder, Name, Version),
    Bundle(Holder, Name, Version),
    /// `mirror --to` of the remote below the virtual repository, or of the other one.
    Mirror(Holder),
    Ask(Caller, Base, Way, Name, Version),
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let licence = if self.agpl { "AGPL" } else { "MIT" };
        let age = if self.young { "a day old" } else { "a year old" };
        write!(f, "{licence}, {age}")?;
        for (holds, word) in [(self.advisory, "an advisory"), (self.retired, "retired")] {
            if holds {
                write!(f, ", {word}")?;
            }
        }
        match self.sums {
            Sums::Both => Ok(()),
            other => write!(f, ", checksums: {other:?}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Publish(name, version, flavour) => {
                write!(f, "a member publishes {} {} (content {flavour})", name.text(), version.text())
            }
            Self::Release(who, name, version, flavour, facts) => {
                let (name, version) = (name.text(), version.text());
                write!(f, "{who:?} has {name} {version} (content {flavour}; {facts})")
            }
            Self::Ask(caller, base, way, name, version) => {
                write!(f, "{caller:?} asks {base:?}: {way:?} {} {}", name.text(), version.text())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// What a history is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    /// Claims of private names, and absence.
    Claims,
    /// What a policy holds, whichever way it is asked for.
    Policy,
    /// Checksums, redirects, replays.
    Supply,
}

fn one_of<T: Copy + fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> + Clone {
    prop::sample::select(all)
}

fn facts(focus: Focus) -> BoxedStrategy<Facts> {
    let rare = || prop::bool::weighted(if focus == Focus::Policy { 0.2 } else { 0.05 });
    let agpl = prop::bool::weighted(if focus == Focus::Policy { 0.4 } else { 0.05 });
    let sums = prop_oneof![4 => Just(Sums::Both), 1 => Just(Sums::InnerOnly), 1 => Just(Sums::OuterOnly)];
    (agpl, rare(), rare(), rare(), sums)
        .prop_map(|(agpl, young, advisory, retired, sums)| Facts { agpl, young, advisory, retired, sums })
        .boxed()
}

/// Names, the more often the more a focus is about them.
fn names(focus: Focus) -> BoxedStrategy<Name> {
    match focus {
        Focus::Claims => one_of(&[
            Name::AcmeCore,
            Name::AcmeTool,
            Name::Vault,
            Name::Vault,
            Name::CorpLib,
            Name::CorpLib,
            Name::Jason,
        ])
        .boxed(),
        Focus::Policy => one_of(&[Name::Jason, Name::Jason, Name::Jason, Name::Plug]).boxed(),
        Focus::Supply => one_of(&[Name::Jason, Name::Jason, Name::Plug, Name::CorpLib, Name::Vault]).boxed(),
    }
}

fn versions(focus: Focus) -> BoxedStrategy<Version> {
    match focus {
        Focus::Claims => one_of(&[Version::First, Version::Second]).boxed(),
        Focus::Policy => one_of(&Version::ALL).boxed(),
        Focus::Supply => one_of(&[Version::First, Version::Second]).boxed(),
    }
}

fn asks(focus: Focus) -> BoxedStrategy<Step> {
    let callers = one_of(&[
        Caller::Anonymous,
        Caller::Anonymous,
        Caller::Stranger,
        Caller::Guest,
        Caller::Member,
        Caller::Reader,
    ]);
    let bases = prop_oneof![
        4 => Just(Base::Root),
        2 => Just(Base::Outer),
        if focus == Focus::Claims { 1 } else { 4 } => Just(Base::Guarded),
        2 => one_of(&[
            Base::Keys, Base::Itself, Base::Host, Base::OuterKeys, Base::OuterOrganization, Base::Acme, Base::Corp, Base::Upstream,
        ]),
    ];
    let ways = prop_oneof![
        6 => Just(Way::Get),
        2 => Just(Way::Head),
        2 => (0_u8..4).prop_map(Way::Matching),
        6 => one_of(&[Way::Mismatch, Way::EmptyCondition, Way::Star, Way::Range, Way::Docs, Way::DocsStar]),
        3 => Just(Way::Package),
        4 => one_of(&[Way::Names, Way::Versions, Way::Show, Way::ShowRelease, Way::List, Way::Search, Way::Explain]),
    ];
    (callers, bases, ways, names(focus), versions(focus))
        .prop_map(|(caller, base, way, name, version)| Step::Ask(caller, base, way, name, version))
        .boxed()
}

fn steps(focus: Focus) -> BoxedStrategy<Step> {
    let inside = (one_of(&[Name::AcmeCore, Name::Vault, Name::Vault]), versions(focus));
    let who = match focus {
        Focus::Claims => one_of(&[Who::Public, Who::Corp]).boxed(),
        Focus::Policy => one_of(&[Who::Public]).boxed(),
        Focus::Supply => one_of(&[Who::Public, Who::Public, Who::Corp]).boxed(),
    };
    let holder = one_of(&[Holder::Virtual, Holder::Virtual, Holder::Guarded]);
    let mood = prop_oneof![
        5 => Just(Mood::Up),
        4 => one_of(&[Mood::Down, Mood::NotFound, Mood::Forbidden, Mood::Flaky]),
        if focus == Focus::Supply { 3 } else { 0 } => Just(Mood::Elsewhere),
    ];
    let private = prop_oneof![
        5 => (inside.clone(), 0_u8..3).prop_map(|((name, version), flavour)| Step::Publish(name, version, flavour)),
        3 => inside.clone().prop_map(|(name, version)| Step::Revert(name, version)),
        1 => inside.clone().prop_map(|(name, version)| Step::RetireHere(name, version)),
        1 => inside.clone().prop_map(|(name, version)| Step::Erase(name, Some(version))),
        1 => inside.clone().prop_map(|(name, _)| Step::Erase(name, None)),
        1 => inside.prop_map(|(name, _)| Step::Forget(name)),
    ];
    let released = (who.clone(), names(focus), versions(focus), 0_u8..3, facts(focus));
    let spoiled = (any::<bool>(), names(focus), versions(focus));
    let elsewhere = prop_oneof![
        7 => released.prop_map(|(who, name, version, flavour, facts)| {
            // The private registry has its own name alone.
            let name = if who == Who::Corp { Name::CorpLib } else { name };
            Step::Release(who, name, version, flavour, facts)
        }),
        2 => (who.clone(), names(focus), versions(focus)).prop_map(|(who, name, version)| Step::Withdraw(who, name, version)),
        2 => (who.clone(), names(focus)).prop_map(|(who, name)| Step::Drop(who, name)),
        1 => who.clone().prop_map(Step::Replay),
        if focus == Focus::Supply { 2 } else { 0 } => spoiled.prop_map(|(index, name, version)| match index {
            true => Step::SpoilIndex(name, version),
            false => Step::SpoilFile(name, version),
        }),
        4 => (who, mood).prop_map(|(who, mood)| Step::Mood(who, mood)),
    ];
    let policy = prop_oneof![
        2 => any::<bool>().prop_map(Step::Enforce),
        1 => (holder.clone(), names(focus), versions(focus)).prop_map(|(holder, name, version)| Step::Pin(holder, name, version)),
        1 => (names(focus), versions(focus)).prop_map(|(name, version)| Step::Dump(name, version)),
    ];
    let whole = prop_oneof![
        3 => one_of(&[Span::Minute, Span::Hours, Span::Week]).prop_map(Step::Wait),
        2 => Just(Step::Restart),
        1 => Just(Step::Die),
        1 => Just(Step::Purge),
    ];
    let carried = (holder.clone(), names(focus), versions(focus));
    let work = prop_oneof![
        2 => carried.clone().prop_map(|(holder, name, version)| Step::Prefetch(holder, name, version)),
        1 => carried.prop_map(|(holder, name, version)| Step::Bundle(holder, name, version)),
        1 => holder.prop_map(Step::Mirror),
    ];
    let (inside, outside, rules) = match focus {
        Focus::Claims => (6, 6, 0),
        Focus::Policy => (0, 6, 3),
        Focus::Supply => (1, 8, 0),
    };
    prop_oneof![
        inside => private,
        outside => elsewhere,
        rules => policy,
        3 => whole,
        if focus == Focus::Claims { 1 } else { 2 } => work,
        12 => asks(focus),
    ]
    .boxed()
}

/// What a world is like from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// How long what the public registry says is fresh, in seconds; what the private one says never is.
    pub(super) ttl: u64,
    /// `on_upstream_delete: keep`, else `hide`.
    pub(super) keep: bool,
    /// `checksum_changes: refuse`, else `allow`.
    pub(super) refuse: bool,
    /// `cooldown_exempt_security_fixes`.
    pub(super) fixes: bool,
    /// Whether the policy is enforced at first.
    pub(super) enforced: bool,
    /// `on_member_failure: skip`, else `fail`.
    pub(super) skip: bool,
}

impl Setup {
    /// The plainest one.
    pub(super) const PLAIN: Self =
        Self { ttl: 0, keep: false, refuse: false, fixes: false, enforced: true, skip: false };
}

/// A world and what happens in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct History {
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", at + 1)?;
        }
        // The same once more, to be taken into `known.rs`; nobody takes one of the table's there.
        if self.steps.len() < 50 { writeln!(f, "  {:?}", self.steps) } else { Ok(()) }
    }
}

/// Histories of up to `length` steps.
pub(super) fn histories(focus: Focus, length: usize) -> impl Strategy<Value = History> {
    let flag = |weight: f64| prop::bool::weighted(weight);
    let setup = (
        one_of(&[0, 60]),
        flag(0.4),
        flag(if focus == Focus::Supply { 0.6 } else { 0.1 }),
        flag(0.5),
        flag(0.7),
        flag(0.3),
    )
        .prop_map(|(ttl, keep, refuse, fixes, enforced, skip)| Setup { ttl, keep, refuse, fixes, enforced, skip });
    (setup, prop::collection::vec(steps(focus), length / 2..length)).prop_map(|(setup, steps)| History { setup, steps })
}
