//! What happens in a history: names, releases, steps, and how they are printed.

use std::fmt;

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
    /// Each path is answered once, and fails from then on.
    Once,
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
    DocsHead,
    DocsStar,
    /// A policy that is called like the package.
    Policy,
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
    /// Whether the public registry is a member of a member.
    pub(super) deep: bool,
    /// `network: strict`, else `fallback`.
    pub(super) strict: bool,
    /// The daemon is a process of its own, on the machine's clock: no time can be waited for, and it dies by SIGKILL.
    pub(super) process: bool,
}

impl Setup {
    /// The plainest one.
    pub(super) const PLAIN: Self = Self {
        ttl: 0,
        keep: false,
        refuse: false,
        fixes: false,
        enforced: true,
        skip: false,
        deep: false,
        strict: false,
        process: false,
    };
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
