//! The table of docs/SECURITY.md: each promise on every way out, one after the other, at every address.

use super::known::{ADVISED, AGPL, MIT, RETIRED, YOUNG, holds};
use super::run_with;
use super::steps::{Base, Caller, Facts, History, Holder, Mood, Name, Setup, Step, Version, Way, Who};

const FILES: [Way; 9] = [
    Way::Head,
    Way::Matching(0),
    Way::Mismatch,
    Way::EmptyCondition,
    Way::Star,
    Way::Range,
    Way::Docs,
    Way::DocsHead,
    Way::DocsStar,
];
/// About one package.
const ABOUT: [Way; 5] = [Way::Package, Way::Policy, Way::Show, Way::ShowRelease, Way::Explain];
/// Of all packages, whichever is asked about; but the search, which tells an upstream what is looked for.
const LISTS: [Way; 3] = [Way::Names, Way::Versions, Way::List];

/// Every address of what is made of all members, and of the remote repository with a policy of its own.
const BASES: [Base; 8] = [
    Base::Root,
    Base::Keys,
    Base::Itself,
    Base::Host,
    Base::Outer,
    Base::OuterKeys,
    Base::OuterOrganization,
    Base::Guarded,
];
const MEMBERS: [Base; 3] = [Base::Acme, Base::Corp, Base::Upstream];

fn asked(caller: Caller, bases: &[Base], name: Name, ways: &[Way]) -> Vec<Step> {
    let ask = |base, way| Step::Ask(caller, base, way, name, Version::First);
    bases.iter().flat_map(|base| ways.iter().map(move |way| ask(*base, *way))).collect()
}

/// Every way; a question about a file is followed by GET, so that what it has spoiled is seen at once.
fn every_way(caller: Caller, bases: &[Base], name: Name) -> Vec<Step> {
    let files: Vec<Way> = FILES.into_iter().flat_map(|way| [way, Way::Get]).collect();
    asked(caller, bases, name, &[files.as_slice(), &ABOUT, &[Way::Search], &LISTS].concat())
}

/// Every way once, about some packages.
fn every_question(caller: Caller, bases: &[Base], names: &[Name]) -> Vec<Step> {
    let ways = [FILES.as_slice(), &[Way::Get], &ABOUT, &[Way::Search]].concat();
    let of_each = names.iter().flat_map(|name| asked(caller, bases, *name, &ways));
    of_each.chain(asked(caller, bases, Name::Jason, &LISTS)).collect()
}

/// What work does with a release: brings it, puts it into a bundle and into a folder.
fn every_work(name: Name) -> Vec<Step> {
    let work = |holder| {
        let (prefetch, bundle) =
            (Step::Prefetch(holder, name, Version::First), Step::Bundle(holder, name, Version::First));
        [prefetch, bundle, Step::Mirror(holder)]
    };
    [Holder::Virtual, Holder::Guarded].into_iter().flat_map(work).collect()
}

fn public(name: Name, facts: Facts) -> Step {
    Step::Release(Who::Public, name, Version::First, 0, facts)
}

fn corp(name: Name) -> Step {
    Step::Release(Who::Corp, name, Version::First, 0, MIT)
}

/// Without this, refusals would prove nothing.
#[test]
fn every_way_answers_what_may_be_had() {
    let asked = every_question(Caller::Reader, &BASES, &[Name::Jason]);
    let history = History { setup: Setup::PLAIN, steps: [vec![public(Name::Jason, MIT)], asked].concat() };
    let outcome = run_with(&history, |step, status| match step {
        Step::Ask(_, base, way, ..) => {
            let expected: &[u16] = match way {
                Way::Matching(_) | Way::Star | Way::DocsStar => &[304],
                Way::Range => &[200, 206],
                // It is for those who may read every member, and for virtual repositories.
                Way::Explain if base == Base::Guarded => return Ok(()),
                Way::Policy => &[404],
                _ => &[200],
            };
            if expected.contains(&status) { Ok(()) } else { Err(format!("{step} is answered {status}")) }
        }
        _ => Ok(()),
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn nothing_unverified_leaves_on_any_way() {
    for spoil in [Step::SpoilFile(Name::Jason, Version::First), Step::SpoilIndex(Name::Jason, Version::First)] {
        let steps = vec![public(Name::Jason, MIT), spoil];
        let asked = every_way(Caller::Anonymous, &BASES, Name::Jason);
        holds(Setup::PLAIN, [steps, every_work(Name::Jason), asked].concat());
    }
}

#[test]
fn nothing_held_leaves_on_any_way() {
    for facts in [AGPL, YOUNG, ADVISED, RETIRED] {
        let asked = every_way(Caller::Anonymous, &BASES, Name::Jason);
        let members = every_question(Caller::Reader, &MEMBERS, &[Name::Jason]);
        let steps = vec![public(Name::Jason, facts)];
        holds(Setup::PLAIN, [steps, every_work(Name::Jason), asked, vec![Step::Restart], members].concat());
    }
}

#[test]
fn no_impostor_is_answered_on_any_way() {
    let published = [Name::AcmeCore, Name::Vault].map(|name| Step::Publish(name, Version::First, 0));
    let heard = Step::Ask(Caller::Reader, Base::Root, Way::Get, Name::CorpLib, Version::First);
    for gone in [false, true] {
        let mut steps = vec![corp(Name::CorpLib), heard];
        steps.extend(published);
        if gone {
            steps.extend([Name::AcmeCore, Name::Vault].map(|name| Step::Revert(name, Version::First)));
            steps.push(Step::Drop(Who::Corp, Name::CorpLib));
        }
        let names = [Name::AcmeCore, Name::AcmeTool, Name::Vault, Name::CorpLib];
        steps.extend(names.map(|name| public(name, MIT)));
        steps.extend(names.into_iter().flat_map(every_work));
        steps.extend(every_question(Caller::Anonymous, &[Base::Root, Base::Outer, Base::Upstream], &names));
        steps.extend(every_question(Caller::Reader, &[Base::Keys, Base::Host, Base::OuterOrganization], &names));
        holds(Setup::PLAIN, [steps, vec![Step::Restart]].concat());
    }
}

#[test]
fn no_private_name_is_told_on_any_way() {
    let heard = Step::Ask(Caller::Reader, Base::Root, Way::Get, Name::CorpLib, Version::First);
    let mut steps =
        vec![Step::Publish(Name::Vault, Version::First, 0), corp(Name::CorpLib), heard, public(Name::Jason, MIT)];
    let names = [Name::Vault, Name::CorpLib, Name::AcmeTool];
    steps.extend(names.into_iter().flat_map(every_work));
    for caller in [Caller::Anonymous, Caller::Guest] {
        let bases = [Base::Root, Base::Keys, Base::OuterOrganization, Base::Acme, Base::Corp];
        steps.extend(every_question(caller, &bases, &names));
    }
    steps.extend(every_question(Caller::Reader, &[Base::Root, Base::Outer], &names));
    holds(Setup::PLAIN, steps);
}

#[test]
fn no_credential_goes_upstream_on_any_way() {
    let heard = corp(Name::CorpLib);
    let moved = Step::Mood(Who::Corp, Mood::Elsewhere);
    let mut steps = vec![public(Name::Jason, MIT), heard];
    let names = [Name::Jason, Name::CorpLib];
    steps.extend(names.into_iter().flat_map(every_work));
    for caller in [Caller::Reader, Caller::Stranger] {
        steps.extend(every_question(caller, &BASES, &names));
    }
    let asked = every_question(Caller::Reader, &[Base::Root], &[Name::CorpLib]);
    holds(Setup::PLAIN, [steps, vec![moved], asked].concat());
}

#[test]
fn no_publish_is_lost_on_any_way() {
    let published = [Name::AcmeCore, Name::Vault].map(|name| Step::Publish(name, Version::First, 0));
    let mut steps: Vec<Step> = published.into();
    for lost in
        [None, Some(Step::Mood(Who::Public, Mood::Down)), Some(Step::Purge), Some(Step::Restart), Some(Step::Die)]
    {
        steps.extend(lost);
        let bases = [Base::Root, Base::Keys, Base::Host, Base::Outer, Base::Acme];
        steps.extend(every_question(Caller::Member, &bases, &[Name::AcmeCore, Name::Vault]));
    }
    holds(Setup::PLAIN, steps);
}
