//! What a policy costs: a package of 300 releases, and the conservative lists of a registry of hex.pm's size.
//!
//! Nothing of this is on the way of a request whose answer is kept: what was filtered is kept with its seal.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use hexkeep::clock::Timestamp;
use hexkeep::policy::filter::evaluate;
use hexkeep::policy::lists::{EvaluatedPackage, select_shown};
use hexkeep::policy::release_facts::PackageFacts;
use hexkeep::policy::rules::ReleaseRules;
use hexkeep::policy::severity::Severity;

use super::synthetic::{self, Registry};

/// Ten days after the youngest of 300 releases that are a second apart from each other.
const NOW: Timestamp = Timestamp::from_secs(1_500_000_300 + 10 * 86_400);

pub(crate) fn policy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");

    let package = synthetic::package("bench", "foo", 300);
    // One frozen moment in the middle: half of the releases are dropped and half of the bytes are copied.
    let rules = ReleaseRules { freeze_after: Some(Timestamp::from_secs(1_500_000_150)), ..rules() };
    let facts = PackageFacts::read(&package).expect("facts");
    let evaluation = evaluate(&facts, &rules, &(), NOW);
    assert_eq!(evaluation.held.len(), 150, "half of the releases are held");
    group.bench_function("read 300 releases", |bencher| {
        bencher.iter(|| PackageFacts::read(black_box(&package)).expect("facts"));
    });
    group.bench_function("decide and filter 300 releases", |bencher| {
        bencher.iter(|| {
            let evaluation = evaluate(black_box(&facts), &rules, &(), NOW);
            evaluation.filter(&package).expect("filtered").len()
        });
    });

    let registry = Registry::new("bench", "", 20_000, 1);
    let (names, versions) = (registry.names(), registry.versions());
    // As many were evaluated as a company's projects ask for; of the others, what is old enough is beyond doubt.
    let evaluated: HashMap<Box<str>, Arc<EvaluatedPackage>> = registry
        .packages()
        .step_by(20)
        .map(|(name, versions)| {
            let allowed = versions.iter().skip(1).map(|version| version.as_str().into()).collect();
            (name.into(), Arc::new(EvaluatedPackage { confirmed_at: LATER, next_change: None, allowed }))
        })
        .collect();
    group.sample_size(20);
    group.bench_function("names and versions of 20,000 packages", |bencher| {
        bencher.iter(|| {
            let shown = select_shown(black_box(&names), &versions, false, &rules, &evaluated, LATER).expect("read");
            (shown.names(&names).expect("filtered").len(), shown.versions(&versions).expect("filtered").len())
        });
    });
    group.finish();
}

/// After everything in the registry, by less than the cooldown for a part of it.
const LATER: Timestamp = Timestamp::from_secs(1_700_000_000);

fn rules() -> ReleaseRules {
    ReleaseRules {
        cooldown: Some("7d".parse().expect("a cooldown")),
        advisory_min_severity: Some(Severity::High),
        cooldown_exempt_security_fixes: true,
        ..ReleaseRules::default()
    }
}
