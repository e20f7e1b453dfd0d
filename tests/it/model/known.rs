//! Histories that once broke a promise, shortened, by what they break.

use super::run;
use super::steps::{Base, Caller, Facts, History, Holder, Mood, Name, Setup, Span, Step, Sums, Version, Way, Who};

pub(super) const MIT: Facts = Facts { agpl: false, young: false, advisory: false, retired: false, sums: Sums::Both };
pub(super) const AGPL: Facts = Facts { agpl: true, ..MIT };
const JASON: (Name, Version) = (Name::Jason, Version::First);

fn has(facts: Facts) -> Step {
    Step::Release(Who::Public, JASON.0, JASON.1, 0, facts)
}

fn ask(caller: Caller, base: Base, way: Way) -> Step {
    Step::Ask(caller, base, way, JASON.0, JASON.1)
}

pub(super) fn holds(setup: Setup, steps: Vec<Step>) {
    let history = History { setup, steps };
    if let Err(why) = run(&history) {
        panic!("{why}\n{history:?}");
    }
}

#[test]
fn a_question_about_a_denied_licence_is_no_delivery() {
    for way in [Way::Head, Way::EmptyCondition, Way::Mismatch, Way::Star, Way::Matching(0), Way::Range, Way::Docs] {
        for base in [Base::Root, Base::Outer, Base::Guarded] {
            holds(
                Setup::PLAIN,
                vec![has(AGPL), ask(Caller::Anonymous, base, way), ask(Caller::Anonymous, base, Way::Get)],
            );
        }
    }
}

#[test]
fn prefetch_is_no_delivery() {
    for holder in [Holder::Virtual, Holder::Guarded] {
        let prefetch = Step::Prefetch(holder, JASON.0, JASON.1);
        holds(Setup::PLAIN, vec![has(AGPL), prefetch, ask(Caller::Anonymous, Base::Root, Way::Get)]);
    }
}

#[test]
fn a_name_stays_claimed_when_its_last_release_is_gone() {
    let (name, version) = (Name::Vault, Version::First);
    let publish = Step::Publish(name, version, 0);
    let impostor = Step::Release(Who::Public, name, version, 0, MIT);
    for gone in [Step::Revert(name, version), Step::Erase(name, None)] {
        let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, name, version);
        let again = Step::Publish(name, Version::Second, 0);
        holds(Setup::PLAIN, vec![publish, gone, impostor, asked, again]);
    }
    let (name, corp) = (Name::CorpLib, |version| Step::Release(Who::Corp, Name::CorpLib, version, 0, MIT));
    let asked = Step::Ask(Caller::Reader, Base::Root, Way::Get, name, version);
    let impostor = Step::Release(Who::Public, name, version, 0, MIT);
    holds(Setup::PLAIN, vec![corp(version), asked, Step::Drop(Who::Corp, name), impostor, asked]);
}

#[test]
fn an_unsigned_answer_is_no_absence() {
    let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, Name::CorpLib, Version::First);
    let other = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, JASON.0, JASON.1);
    let corp = Step::Release(Who::Corp, Name::CorpLib, Version::First, 0, MIT);
    let impostor = Step::Release(Who::Public, Name::CorpLib, Version::First, 0, MIT);
    for mood in [Mood::NotFound, Mood::Forbidden, Mood::Down] {
        let steps = vec![has(MIT), other, Step::Mood(Who::Corp, mood), corp, impostor, asked];
        holds(Setup::PLAIN, [steps, vec![Step::Wait(Span::Hours), asked, other]].concat());
    }
}

#[test]
fn what_is_public_is_served_while_the_private_registry_is_unreachable() {
    let asked = ask(Caller::Anonymous, Base::Root, Way::Get);
    holds(Setup::PLAIN, vec![has(MIT), asked, Step::Mood(Who::Corp, Mood::Down), Step::Restart, asked]);
}

#[test]
fn what_replaced_a_release_is_judged_itself() {
    for facts in [Facts { young: true, ..MIT }, Facts { advisory: true, ..MIT }, AGPL] {
        for base in [Base::Root, Base::Outer, Base::Guarded] {
            let other = Step::Release(Who::Public, JASON.0, JASON.1, 1, facts);
            let steps = vec![has(MIT), ask(Caller::Anonymous, base, Way::Package), other];
            let asked = [Way::Get, Way::Range, Way::Get].map(|way| ask(Caller::Anonymous, base, way));
            holds(Setup { ttl: 60, ..Setup::PLAIN }, [steps, asked.into()].concat());
        }
    }
}

#[test]
fn a_licence_counts_whichever_checksum_there_is() {
    for sums in [Sums::InnerOnly, Sums::OuterOnly] {
        let steps = vec![has(Facts { sums, ..AGPL }), ask(Caller::Anonymous, Base::Root, Way::Get)];
        holds(Setup::PLAIN, [steps, vec![ask(Caller::Anonymous, Base::Guarded, Way::Get)]].concat());
    }
}

#[test]
fn what_is_removed_elsewhere_stays_subject_to_every_rule() {
    for facts in [Facts { young: true, ..MIT }, Facts { advisory: true, ..MIT }, Facts { retired: true, ..MIT }, AGPL] {
        for gone in [Step::Withdraw(Who::Public, JASON.0, JASON.1), Step::Drop(Who::Public, JASON.0)] {
            for base in [Base::Root, Base::Guarded] {
                let asked = [Way::Package, Way::Get].map(|way| ask(Caller::Anonymous, base, way));
                // The package itself stays, by another release of it.
                let other = Step::Release(Who::Public, JASON.0, Version::Second, 0, MIT);
                let steps = [vec![other, has(facts)], asked.into(), vec![gone], asked.into()].concat();
                holds(Setup { keep: true, ..Setup::PLAIN }, steps);
            }
        }
    }
}

#[test]
fn a_dry_run_exempts_nothing_that_it_would_hold() {
    for facts in [Facts { young: true, ..MIT }, Facts { advisory: true, ..MIT }, AGPL] {
        for base in [Base::Root, Base::Guarded] {
            let asked = ask(Caller::Anonymous, base, Way::Get);
            let setup = Setup { enforced: false, ..Setup::PLAIN };
            holds(setup, vec![has(facts), asked, Step::Enforce(true), asked]);
        }
    }
}

fn jason(version: Version, facts: Facts) -> Step {
    Step::Release(Who::Public, Name::Jason, version, 0, facts)
}

const FIXES: Setup = Setup { fixes: true, ..Setup::PLAIN };
pub(super) const YOUNG: Facts = Facts { young: true, ..MIT };
pub(super) const ADVISED: Facts = Facts { advisory: true, ..MIT };

#[test]
fn a_dump_from_elsewhere_lets_nothing_through() {
    let dump = Step::Dump(Name::Jason, Version::First);
    let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, Name::Jason, Version::Second);
    holds(FIXES, vec![jason(Version::First, MIT), jason(Version::Second, YOUNG), dump, asked]);
}

#[test]
fn a_lower_number_fixes_nothing() {
    let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, Name::Jason, Version::First);
    holds(FIXES, vec![jason(Version::Third, ADVISED), jason(Version::First, YOUNG), asked]);
}

#[test]
fn a_candidate_hides_no_fix() {
    let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, Name::Jason, Version::Third);
    let steps = [(Version::First, ADVISED), (Version::Candidate, MIT), (Version::Third, YOUNG)];
    holds(FIXES, [steps.map(|(version, facts)| jason(version, facts)).as_slice(), &[asked]].concat());
}

#[test]
fn what_is_ignored_is_no_reason_for_a_fix() {
    let plug = |version, facts| Step::Release(Who::Public, Name::Plug, version, 0, facts);
    let asked = Step::Ask(Caller::Anonymous, Base::Root, Way::Get, Name::Plug, Version::Second);
    holds(FIXES, vec![plug(Version::First, ADVISED), plug(Version::Second, YOUNG), asked]);
}

#[test]
fn a_folder_and_a_bundle_hold_back_what_the_view_above_does() {
    for facts in [YOUNG, AGPL, ADVISED] {
        holds(Setup::PLAIN, vec![has(facts), Step::Mirror(Holder::Virtual), Step::Mirror(Holder::Guarded)]);
        let bundle = |holder| Step::Bundle(holder, JASON.0, JASON.1);
        holds(Setup::PLAIN, vec![has(facts), bundle(Holder::Virtual), bundle(Holder::Guarded)]);
    }
}

#[test]
fn checksums_of_another_kind_are_a_change() {
    let kinds = [Sums::Both, Sums::InnerOnly, Sums::OuterOnly];
    for (before, after) in kinds.iter().flat_map(|before| kinds.iter().map(move |after| (*before, *after))) {
        for base in [Base::Root, Base::Guarded] {
            let asked = ask(Caller::Anonymous, base, Way::Get);
            let other = Step::Release(Who::Public, JASON.0, JASON.1, 1, Facts { sums: after, ..MIT });
            let setup = Setup { refuse: true, ..Setup::PLAIN };
            holds(setup, vec![has(Facts { sums: before, ..MIT }), asked, other, Step::Wait(Span::Minute), asked]);
        }
    }
}

#[test]
fn documentation_of_another_origin_is_nobodys() {
    let moved = Step::Mood(Who::Public, Mood::Elsewhere);
    for base in [Base::Root, Base::Outer, Base::Guarded] {
        let asked = ask(Caller::Anonymous, base, Way::Docs);
        holds(Setup::PLAIN, vec![has(MIT), moved, asked, Step::Mood(Who::Public, Mood::Up), asked, moved, asked]);
    }
}
