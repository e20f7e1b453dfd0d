//! Instructions and allocations of what is done most, beside their budgets: `cargo bench --profile counts --bench counts`.
//!
//! Time says little on a machine that does other things, too; what is counted is the same on every run. Each group runs in
//! a process of its own under valgrind's callgrind, and each case is compared with `budgets.toml`: 3 % more or fewer is a
//! failure. `docs/PERFORMANCE.md` says how a budget is changed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what cannot be set up cannot be counted, what was counted is printed, and no file has to survive"
)]

#[path = "../support/administrator.rs"]
mod administrator;
mod budgets;
mod callgrind;
mod codec;
mod hits;
mod publish;
mod region;
mod server;
#[path = "../codec/synthetic.rs"]
#[expect(dead_code, reason = "what other measurements need of it")]
mod synthetic;
#[path = "../../tests/it/support/tarballs.rs"]
mod tarballs;
#[path = "../support/upstream.rs"]
#[expect(dead_code, reason = "what other measurements need of it")]
mod upstream;

use std::process::ExitCode;

use budgets::Budgets;

/// Set to `valgrind`, this makes its absence a failure.
const REQUIRE: &str = "HEXKEEP_BENCH_REQUIRE_TOOLS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--group") {
        work(arguments.get(at + 1).expect("a group"));
        return ExitCode::SUCCESS;
    }
    // `cargo test` runs benchmarks, too, to see that they build.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let missing = if !cfg!(target_arch = "x86_64") {
        Some("the budgets are those of x86-64")
    } else if !callgrind::is_installed() {
        Some("valgrind is not installed")
    } else {
        None
    };
    if let Some(why) = missing {
        println!("SKIPPED: {why}, so nothing is counted");
        let is_required = std::env::var(REQUIRE).is_ok_and(|tools| tools.split(',').any(|tool| tool == "valgrind"));
        return if is_required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    match count(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            println!("{faults}");
            ExitCode::FAILURE
        }
    }
}

/// Does the work of a group; what of it is counted is between the marks of [`region`].
fn work(group: &str) {
    match group {
        "codec" => codec::run(),
        "hit" => hits::run(),
        "publish" => publish::run(),
        _ => unreachable!("no group is called {group}"),
    }
}

/// Counts the groups that are wanted, all where none is named; what is wrong is the error.
fn count(wanted: &[&String]) -> Result<(), String> {
    let budgets = Budgets::read(include_str!("budgets.toml"))?;
    let groups: Vec<&str> = budgets.groups().collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !groups.contains(&wanted.as_str())) {
        return Err(format!("no group is called {unknown}; there are {}", groups.join(", ")));
    }
    println!("{:<32} {:>14} {:>9} {:>12} {:>9}", "", "instructions", "budget", "allocations", "budget");
    let mut faults = Vec::new();
    for group in groups.into_iter().filter(|group| wanted.is_empty() || wanted.iter().any(|wanted| wanted == group)) {
        let (lines, found) = budgets.judge(group, &callgrind::run(group)?);
        lines.iter().for_each(|line| println!("{line}"));
        faults.extend(found);
    }
    if faults.is_empty() {
        return Ok(());
    }
    let faults = faults.join("\n");
    Err(format!("\n{faults}\n\nIf that is on purpose: benches/counts/budgets.toml, with the reason."))
}
