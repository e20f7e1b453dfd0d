//! How histories are generated.

use std::fmt;

use proptest::prelude::*;

use super::steps::{Base, Caller, Facts, History, Holder, Mood, Name, Setup, Span, Step, Sums, Version, Way, Who};

/// What a history is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    /// Claims of private names, and absence.
    Claims,
    /// What a policy holds, whichever way it is asked for.
    Policy,
    /// Checksums, redirects, replays.
    Supply,
    /// What sudden death leaves of publishes, claims and exemptions.
    Death,
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
        Focus::Claims | Focus::Death => one_of(&[
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
        Focus::Claims | Focus::Death => one_of(&[Version::First, Version::Second]).boxed(),
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
        6 => one_of(&[Way::Mismatch, Way::EmptyCondition, Way::Star, Way::Range, Way::Docs, Way::DocsHead, Way::DocsStar, Way::Policy]),
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
        Focus::Claims | Focus::Death => one_of(&[Who::Public, Who::Corp]).boxed(),
        Focus::Policy => one_of(&[Who::Public]).boxed(),
        Focus::Supply => one_of(&[Who::Public, Who::Public, Who::Corp]).boxed(),
    };
    let holder = one_of(&[Holder::Virtual, Holder::Virtual, Holder::Guarded]);
    let mood = prop_oneof![
        5 => Just(Mood::Up),
        4 => one_of(&[Mood::Down, Mood::NotFound, Mood::Forbidden, Mood::Flaky, Mood::Once]),
        if focus == Focus::Supply { 3 } else { 0 } => Just(Mood::Elsewhere),
    ];
    // A process is told what to do by its API alone.
    let death = focus == Focus::Death;
    let private = prop_oneof![
        5 => (inside.clone(), 0_u8..3).prop_map(|((name, version), flavour)| Step::Publish(name, version, flavour)),
        3 => inside.clone().prop_map(|(name, version)| Step::Revert(name, version)),
        1 => inside.clone().prop_map(|(name, version)| Step::RetireHere(name, version)),
        if death { 0 } else { 1 } => inside.clone().prop_map(|(name, version)| Step::Erase(name, Some(version))),
        if death { 0 } else { 1 } => inside.clone().prop_map(|(name, _)| Step::Erase(name, None)),
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
        if death { 0 } else { 4 } => (who, mood).prop_map(|(who, mood)| Step::Mood(who, mood)),
    ];
    let policy = prop_oneof![
        2 => any::<bool>().prop_map(Step::Enforce),
        1 => (holder.clone(), names(focus), versions(focus)).prop_map(|(holder, name, version)| Step::Pin(holder, name, version)),
        1 => (names(focus), versions(focus)).prop_map(|(name, version)| Step::Dump(name, version)),
    ];
    let whole = prop_oneof![
        if death { 0 } else { 3 } => one_of(&[Span::Minute, Span::Hours, Span::Week]).prop_map(Step::Wait),
        2 => Just(Step::Restart),
        if death { 4 } else { 1 } => Just(Step::Die),
        if death { 0 } else { 1 } => Just(Step::Purge),
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
        Focus::Death => (6, 4, 0),
    };
    prop_oneof![
        inside => private,
        outside => elsewhere,
        rules => policy,
        3 => whole,
        match focus {
            Focus::Claims => 1,
            Focus::Policy | Focus::Supply => 2,
            Focus::Death => 0,
        } => work,
        12 => asks(focus),
    ]
    .boxed()
}

/// Histories of up to `length` steps.
pub(super) fn histories(focus: Focus, length: usize) -> BoxedStrategy<History> {
    let flag = |weight: f64| prop::bool::weighted(weight);
    let setup = (
        one_of(&[0, 60]),
        flag(0.4),
        flag(if focus == Focus::Supply { 0.6 } else { 0.1 }),
        flag(0.5),
        flag(0.7),
        flag(0.3),
        flag(0.3),
        flag(0.2),
    )
        .prop_map(move |(ttl, keep, refuse, fixes, enforced, skip, deep, strict)| Setup {
            ttl,
            keep,
            refuse,
            fixes,
            enforced,
            skip,
            deep,
            strict,
            process: focus == Focus::Death,
        });
    (setup, prop::collection::vec(steps(focus), length / 2..length))
        .prop_map(|(setup, steps)| History { setup, steps })
        .boxed()
}
