//! The promises against a model: whatever happens in whatever order, no way out goes round them.
//!
//! A [reference](reference) says what may be answered to whom, from what has happened, without any of the daemon's code;
//! random [histories](steps) are done to a [real daemon](world) and the registries around it, and everything that it
//! [answers](ways) is held against the reference:
//!
//! - *nothing unverified*: each list verifies, each file has a digest that the registry whose name it has has signed;
//! - *nothing held*: no byte and no 304 of a release that a policy holds, to nobody to whom it is not exempt;
//! - *no impostor*: a name that private members have had, or that is reserved, is never answered with public bytes;
//! - *no private name told*, to an upstream or to somebody without a right to it;
//! - *no credential upstream* but the one that is configured for it;
//! - *no lost publish*: what was acknowledged is served until it is removed, and its owner can publish the name again.
//!
//! The gate does so many histories from fixed seeds. An hour by hand, with other seeds:
//!
//! ```sh
//! HEXKEEP_TEST_MODEL_CASES=2000 HEXKEEP_TEST_MODEL_SEED=7 cargo test --test it model::
//! ```
//!
//! A failure prints the history, made as short as it goes, as steps; its seed is kept in `regressions.txt`, whose seeds are
//! done first. Histories that once were findings are kept by name in [known].

mod elsewhere;
mod generate;
mod judge;
mod known;
mod reference;
mod steps;
mod table;
mod ways;
mod work;
mod world;

use std::cell::Cell;
use std::time::Duration;

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner};

use generate::{Focus, histories};
use steps::{Base, Caller, History, Name, Step, Version, Way};
use world::World;

/// Steps of a history, at most.
const STEPS: usize = 24;

/// Histories of each kind in the gate, which take about a minute on two cores.
const CASES: u32 = 12;

impl World {
    /// Asks everything that matters once more: what was held, claimed or published stays so at the end.
    async fn ask_everything(&mut self) -> Result<(), String> {
        let known: std::collections::BTreeSet<_> =
            self.reference.contents.values().map(|content| content.key).collect();
        for base in [Base::Root, Base::Outer, Base::Guarded, Base::Acme] {
            for name in Name::ALL {
                self.ask(Caller::Reader, base, Way::Package, (name, Version::First)).await?;
            }
            for way in [Way::Names, Way::Versions] {
                self.ask(Caller::Anonymous, base, way, (Name::Jason, Version::First)).await?;
            }
            for key in &known {
                for caller in [Caller::Anonymous, Caller::Reader] {
                    self.ask(caller, base, Way::Get, *key).await?;
                }
            }
        }
        Ok(())
    }

    async fn live(
        &mut self,
        steps: &[Step],
        mut look: impl FnMut(Step, u16) -> Result<(), String>,
    ) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            // What failed a moment ago is not asked for again.
            self.hub.clock.advance(Duration::from_secs(2));
            self.reference.now = self.now();
            let outcome = self.step(*step).await.and_then(|()| look(*step, self.answered));
            let names = !matches!(step, Step::Mirror(_));
            let outcome = outcome.and_then(|()| self.look_at_requests(names));
            outcome.map_err(|why| format!("at step {}: {why}", at + 1))?;
        }
        for restart in [false, true] {
            if restart {
                self.hub.restart().await;
            }
            self.hub.clock.advance(Duration::from_secs(2));
            let when = if restart { "after a restart" } else { "at the end" };
            self.ask_everything().await.map_err(|why| format!("{when}: {why}"))?;
        }
        Ok(())
    }
}

/// Does a history in a world of its own.
fn run(history: &History) -> Result<(), String> {
    run_with(history, |_, _| Ok(()))
}

/// The same; `look` is shown the last status after each step.
fn run_with(history: &History, look: impl FnMut(Step, u16) -> Result<(), String>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(history.setup).await;
        let outcome = world.live(&history.steps, look).await;
        world.hub.stop().await;
        outcome
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Makes a history that fails shorter: what comes after its failure goes, then each step without which it fails, too.
fn shorten(mut history: History, mut why: String) -> (History, String) {
    let mut at = history.steps.len();
    while at > 0 {
        let failed_at = why.strip_prefix("at step ").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
        history.steps.truncate(failed_at.unwrap_or(history.steps.len()));
        at = (at - 1).min(history.steps.len().saturating_sub(1));
        let mut shorter = history.clone();
        if shorter.steps.is_empty() {
            break;
        }
        shorter.steps.remove(at);
        if let Err(now) = run(&shorter) {
            (history, why) = (shorter, now);
        }
    }
    (history, why)
}

fn explore(focus: Focus) {
    let cases = number("HEXKEEP_TEST_MODEL_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap());
    // To start a process takes as long as a dozen questions.
    let cases = if focus == Focus::Death { cases.div_ceil(4) } else { cases };
    let seed = number("HEXKEEP_TEST_MODEL_SEED").unwrap_or(1);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        // It would try the long ones again, too.
        max_shrink_iters: 0,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/it/model/regressions.txt"))),
        source_file: Some(file!()),
        ..Config::default()
    };
    let done = Cell::new(0);
    let outcome = TestRunner::new(config).run(&histories(focus, STEPS), |history| {
        done.set(done.get() + 1);
        run(&history).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, history)) => {
            let (history, why) = shorten(history, why.to_string());
            panic!("seed {seed}, history {} of {focus:?}: {why}\n{history:?}", done.get())
        }
        Err(TestError::Abort(why)) => panic!("seed {seed}, {focus:?}: {why}"),
    }
}

#[test]
fn claims_hold_on_every_path() {
    explore(Focus::Claims);
}

#[test]
fn policies_hold_on_every_path() {
    explore(Focus::Policy);
}

#[test]
fn nothing_slips_in_on_any_path() {
    explore(Focus::Supply);
}

#[test]
fn sudden_death_takes_nothing_away() {
    explore(Focus::Death);
}
