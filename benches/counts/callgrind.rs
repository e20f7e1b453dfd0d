//! Runs this program under valgrind's callgrind, and reads what it has counted.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::region::{BEGINS, ENDS};

/// What one turn of some work costs. Of fractions, since what is done once in many turns counts in part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    /// `GROUP.CASE`
    pub(crate) name: String,
    /// Instructions of all threads.
    pub(crate) instructions: f64,
    /// Calls by which memory is asked for, of C libraries too.
    pub(crate) allocations: f64,
}

/// The functions of the C library that allocate. Rust's allocator and those of SQLite and aws-lc end in them.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// Whether there is a valgrind.
pub(crate) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Counts the cases of a group, in a process of its own.
pub(crate) fn run(group: &str) -> Result<Vec<Counted>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--dump-line=no", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .args([format!("--zero-before={BEGINS}"), format!("--dump-before={ENDS}")])
        .arg(program)
        .args(["--group", group])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("{group} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let announced = String::from_utf8_lossy(&output.stdout);
    announced
        .lines()
        .enumerate()
        .map(|(at, line)| counted(group, line, &folder.path().join(format!("out.{}", at + 1))))
        .collect()
}

/// What was counted of a case: `line` is its name and its turns.
fn counted(group: &str, line: &str, file: &Path) -> Result<Counted, String> {
    let (case, times) = line.split_once(' ').ok_or_else(|| format!("{group} has said `{line}`"))?;
    let times: f64 = times.parse().map_err(|_| format!("{group} has said `{line}`"))?;
    let dump = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let instructions = instructions(&dump).ok_or_else(|| format!("{group}.{case}: valgrind has counted nothing"))?;
    Ok(Counted {
        name: format!("{group}.{case}"),
        instructions: instructions / times,
        allocations: allocations(&dump) / times,
    })
}

fn instructions(dump: &str) -> Option<f64> {
    dump.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// `cfn=` names the function that the line `calls=` after it counts the calls of.
fn allocations(dump: &str) -> f64 {
    let mut is_allocator = false;
    let mut calls = 0.0;
    for line in dump.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            // Within itself a function is called `malloc'2`.
            is_allocator = ALLOCATORS.contains(&name.split('\'').next().unwrap_or(name));
        } else if let Some(rest) = line.strip_prefix("calls=")
            && is_allocator
        {
            calls += rest.split(' ').next().and_then(|count| count.parse::<f64>().ok()).unwrap_or_default();
        }
    }
    calls
}
