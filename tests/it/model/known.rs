//! Histories that once broke a promise, shortened, by what they break.

use super::run;
use super::steps::{Base, Caller, Facts, History, Holder, Mood, Name, Setup, Span, Step, Sums, Version, Way, Who};

pub(super) const MIT: Facts = Facts { agpl: false, young: false, advisory: false, retired: false, sums: Sums::Both };
pub(super) const AGPL: Facts = Facts { agpl: true, ..MIT };
pub(super) const YOUNG: Facts = Facts { young: true, ..MIT };
pub(super) const ADVISED: Facts = Facts { advisory: true, ..MIT };
pub(super) const RETIRED: Facts = Facts { retired: true, ..MIT };
const JASON: (Name, Version) = (Name::Jason, Version::First);

fn has(facts: Facts) -> Step {
    release(JASON, 0, facts)
}

fn release((name, version): (Name, Version), flavour: u8, facts: Facts) -> Step {
    Step::Release(Who::Public, name, version, flavour, facts)
}

fn ask(caller: Caller, base: Base, way: Way) -> Step {
    Step::Ask(caller, base, way, JASON.0, JASON.1)
}

/// Somebody asks for a release at the virtual repository and at the other one.
fn both(way: Way, (name, version): (Name, Version)) -> [Step; 2] {
    [Base::Root, Base::Guarded].map(|base| Step::Ask(Caller::Anonymous, base, way, name, version))
}

/// All releases that both have.
fn releases() -> Vec<(Name, Version)> {
    let of = |name| Version::ALL.map(move |version| (name, version));
    [of(Name::Jason), of(Name::Plug)].concat()
}

pub(super) fn holds(setup: Setup, steps: Vec<Step>) {
    let history = History { setup, steps };
    if let Err(why) = run(&history) {
        panic!("{why}\n{history:?}");
    }
}

#[test]
fn a_question_about_a_denied_licence_is_no_delivery() {
    let ways = [
        Way::Head,
        Way::EmptyCondition,
        Way::Mismatch,
        Way::Star,
        Way::Matching(0),
        Way::Range,
        Way::Docs,
        Way::DocsHead,
    ];
    for base in [Base::Root, Base::Outer, Base::Guarded] {
        let mut steps: Vec<Step> = releases().into_iter().map(|key| release(key, 0, AGPL)).collect();
        // One release for each way: once a licence was read, it is known.
        for (way, (name, version)) in ways.into_iter().zip(releases()) {
            steps.extend([way, Way::Get].map(|way| Step::Ask(Caller::Anonymous, base, way, name, version)));
        }
        holds(Setup::PLAIN, steps);
    }
}

#[test]
fn only_what_is_answered_is_a_delivery() {
    let ways = [Way::Head, Way::Star, Way::Docs, Way::DocsHead, Way::DocsStar, Way::Show, Way::Package];
    for base in [Base::Root, Base::Outer, Base::Guarded] {
        let keys = || ways.into_iter().zip(releases());
        let mut steps: Vec<Step> = releases().into_iter().map(|key| release(key, 0, MIT)).collect();
        steps.extend(keys().map(|(way, (name, version))| Step::Ask(Caller::Anonymous, base, way, name, version)));
        // Then each is held, and is owed to nobody.
        steps.extend(keys().map(|(_, key)| release(key, 0, RETIRED)));
        steps.extend(keys().map(|(_, (name, version))| Step::Ask(Caller::Anonymous, base, Way::Get, name, version)));
        holds(Setup::PLAIN, steps);
    }
}

#[test]
fn what_cannot_be_decided_is_refused() {
    for base in [Base::Root, Base::Outer, Base::Guarded] {
        let steps = vec![has(AGPL), Step::Mood(Who::Public, Mood::Once), ask(Caller::Anonymous, base, Way::Get)];
        holds(Setup { strict: true, ..Setup::PLAIN }, steps);
    }
}

#[test]
fn prefetch_is_no_delivery() {
    let prefetch = [Holder::Virtual, Holder::Guarded].map(|holder| Step::Prefetch(holder, JASON.0, JASON.1));
    for (before, after) in [(AGPL, AGPL), (MIT, RETIRED)] {
        let steps = [&[has(before)], prefetch.as_slice(), &[has(after)], &both(Way::Get, JASON)].concat();
        holds(Setup::PLAIN, steps);
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
fn silence_says_the_same_to_everybody() {
    let corp = Step::Release(Who::Corp, Name::CorpLib, Version::First, 0, MIT);
    let ways = [Way::Head, Way::Get, Way::Matching(0), Way::Docs, Way::Package, Way::Show, Way::Explain];
    let asked = [Caller::Anonymous, Caller::Reader].into_iter().flat_map(|caller| {
        let asked = move |base| ways.map(|way| ask(caller, base, way));
        [Base::Root, Base::Outer].into_iter().flat_map(asked)
    });
    let asked: Vec<Step> = asked.collect();
    let (silent, later) = (Step::Mood(Who::Corp, Mood::Down), Step::Wait(Span::Hours));
    let known = vec![corp, has(MIT), ask(Caller::Reader, Base::Root, Way::Get), silent];
    holds(Setup::PLAIN, [known, asked.clone(), vec![Step::Restart], asked.clone(), vec![later], asked].concat());
}

#[test]
fn what_replaced_a_release_is_judged_itself() {
    for base in [Base::Root, Base::Outer, Base::Guarded] {
        let replaced = |(version, facts)| {
            let [package, get, range] = [Way::Package, Way::Get, Way::Range]
                .map(|way| Step::Ask(Caller::Anonymous, base, way, JASON.0, version));
            let [before, after] =
                [(0, MIT), (1, facts)].map(|(flavour, facts)| release((JASON.0, version), flavour, facts));
            [before, package, after, get, range, get, Step::Wait(Span::Minute)]
        };
        let all = [(Version::First, YOUNG), (Version::Second, ADVISED), (Version::Third, AGPL)];
        holds(Setup { ttl: 60, ..Setup::PLAIN }, all.into_iter().flat_map(replaced).collect());
    }
}

#[test]
fn a_licence_counts_whichever_checksum_there_is() {
    let sums = [(Version::First, Sums::InnerOnly), (Version::Second, Sums::OuterOnly)];
    let has = sums.map(|(version, sums)| jason(version, Facts { sums, ..AGPL }));
    let asked = sums.map(|(version, _)| both(Way::Get, (Name::Jason, version))).concat();
    holds(Setup::PLAIN, [has.as_slice(), &asked].concat());
}

#[test]
fn what_is_removed_elsewhere_stays_subject_to_every_rule() {
    for facts in [[YOUNG, ADVISED, RETIRED, AGPL], [AGPL, RETIRED, ADVISED, YOUNG]] {
        let mut steps =
            Vec::from_iter(Version::ALL.into_iter().zip(facts).map(|(version, facts)| jason(version, facts)));
        let ask = |version| [Way::Package, Way::Get].map(|way| both(way, (Name::Jason, version))).concat();
        steps.extend(Version::ALL.into_iter().flat_map(ask));
        // One after the other, and with the last one the package itself.
        for version in Version::ALL {
            steps.push(match version {
                Version::Third => Step::Drop(Who::Public, Name::Jason),
                _ => Step::Withdraw(Who::Public, Name::Jason, version),
            });
            steps.extend(Version::ALL.into_iter().flat_map(ask));
        }
        holds(Setup { keep: true, ..Setup::PLAIN }, steps);
    }
}

#[test]
fn a_dry_run_exempts_nothing_that_it_would_hold() {
    let all = [(Version::First, YOUNG), (Version::Second, ADVISED), (Version::Third, AGPL)];
    let has = all.map(|(version, facts)| jason(version, facts));
    let asked = all.map(|(version, _)| both(Way::Get, (Name::Jason, version))).concat();
    let setup = Setup { enforced: false, ..Setup::PLAIN };
    holds(setup, [has.as_slice(), &asked, &[Step::Enforce(true)], &asked].concat());
}

fn jason(version: Version, facts: Facts) -> Step {
    Step::Release(Who::Public, Name::Jason, version, 0, facts)
}

const FIXES: Setup = Setup { fixes: true, ..Setup::PLAIN };

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
    let all = [(Version::First, YOUNG), (Version::Second, ADVISED), (Version::Third, AGPL)];
    let has = all.map(|(version, facts)| jason(version, facts));
    let holders = [Holder::Virtual, Holder::Guarded];
    let bundles = all.map(|(version, _)| holders.map(|holder| Step::Bundle(holder, Name::Jason, version))).concat();
    for deep in [false, true] {
        holds(Setup { deep, ..Setup::PLAIN }, [has.as_slice(), &holders.map(Step::Mirror), &bundles].concat());
    }
}

#[test]
fn a_member_of_a_member_answers_at_no_address_of_its_own() {
    let ways = [Way::Get, Way::Matching(0), Way::Docs, Way::Package, Way::Names, Way::Versions];
    let asked = ways.map(|way| ask(Caller::Reader, Base::Upstream, way));
    holds(Setup { deep: true, ..Setup::PLAIN }, [&[has(YOUNG)], asked.as_slice()].concat());
}

#[test]
fn checksums_of_another_kind_are_a_change() {
    let kinds = [Sums::Both, Sums::InnerOnly, Sums::OuterOnly];
    let pairs: Vec<_> = kinds.iter().flat_map(|before| kinds.iter().map(move |after| (*before, *after))).collect();
    for pairs in pairs.chunks(Version::ALL.len()) {
        let pairs = || Version::ALL.into_iter().zip(pairs.iter().copied());
        let before = pairs().map(|(version, (sums, _))| jason(version, Facts { sums, ..MIT }));
        let after = pairs().map(|(version, (_, sums))| release((Name::Jason, version), 1, Facts { sums, ..MIT }));
        let asked = || pairs().flat_map(|(version, _)| both(Way::Get, (Name::Jason, version)));
        let steps = before.chain(asked()).chain(after).chain([Step::Wait(Span::Minute)]).chain(asked());
        holds(Setup { refuse: true, ..Setup::PLAIN }, steps.collect());
    }
}

#[test]
fn documentation_of_another_origin_is_nobodys() {
    let [up, moved] = [Mood::Up, Mood::Elsewhere].map(|mood| Step::Mood(Who::Public, mood));
    let asked = [Base::Root, Base::Outer, Base::Guarded].map(|base| ask(Caller::Anonymous, base, Way::Docs));
    holds(Setup::PLAIN, [&[has(MIT), moved], asked.as_slice(), &[up], &asked, &[moved], &asked].concat());
}
