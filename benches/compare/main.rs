//! The daemon beside Debian's nginx and varnish: the same upstream, the same files, the same kind of access log, one run.
//!
//! `cargo bench --bench compare [-- --seconds 5 --rounds 3 --connections 64]`. Prints Markdown tables. Needs nginx and wrk;
//! what else is missing is said and left out. Everything listens on loopback and ends with the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people at a terminal: it may stop with a panic, and its files need not survive a crash"
)]

mod fill;
mod process;
mod registry;
mod report;
mod servers;
mod start;
mod wrk;

use std::time::{Duration, Instant};

use clap::Parser;

use crate::registry::Registry;
use crate::report::{Fill, Hit, Measured};
use crate::servers::{Origin, Server};

#[derive(Debug, Parser)]
struct Options {
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Interleaved rounds; the median of them is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that wrk holds, in one thread.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Only the cases and fills whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// What `cargo bench` adds; without it (`cargo test --benches`) nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked for again and again.
struct Case {
    name: &'static str,
    path: &'static str,
    not_modified: bool,
}

const CASES: [Case; 6] = [
    Case { name: "700 B resource", path: "/packages/bench_small", not_modified: false },
    Case { name: "16 KiB resource", path: "/packages/bench_large", not_modified: false },
    Case { name: "30 KiB tarball", path: "/tarballs/bench_30k-1.0.0.tar", not_modified: false },
    Case { name: "1 MiB tarball", path: "/tarballs/bench_1m-1.0.0.tar", not_modified: false },
    Case { name: "20 MiB tarball", path: "/tarballs/bench_20m-1.0.0.tar", not_modified: false },
    Case { name: "304", path: "/tarballs/bench_30k-1.0.0.tar", not_modified: true },
];

/// Readers of a file that no server has yet.
const READERS: [usize; 2] = [1, 64];

fn main() {
    let options = Options::parse();
    if !options.bench {
        println!("nothing is measured without --bench");
        return;
    }
    for needed in ["nginx", "wrk"] {
        if process::find(needed).is_none() {
            println!("SKIPPED: {needed} is not installed");
            return;
        }
    }
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));

    let dir = tempfile::TempDir::with_prefix("hexkeep-compare-").unwrap();
    eprintln!("building the upstream in {}", dir.path().display());
    let registry = Registry::build(&dir.path().join("upstream"), options.rounds * READERS.len());
    let origin = Origin::start(&dir.path().join("origin"), &registry.folder);
    let servers = servers::start_all(dir.path(), &origin, &registry);

    let mut measured = Measured::new(servers.iter().map(|server| server.name).collect());
    for server in &servers {
        measured.idle.push(server.memory());
    }
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        measured.hits.push((case.name, hits(case, &options, &servers)));
        measured.peaks.push((case.name.to_owned(), servers.iter().map(Server::peak_memory).collect()));
    }
    let mut cold = registry.cold.iter();
    for readers in READERS {
        let name = format!("cold 20 MiB, {readers} reader{}", if readers == 1 { "" } else { "s" });
        if wanted(&name) {
            measured.fills.push((name, fills(readers, options.rounds, &mut cold, &origin, &servers)));
        }
    }
    println!("{}", measured.markdown(&options.describe()));
    if wanted("start") {
        let first_hit = start::first_hit(dir.path(), &origin, &registry);
        println!("start to first hit on a store of 20,000 packages: {} ms", first_hit.as_millis());
    }
}

/// Rounds are interleaved, so that what else the machine does meets all servers alike.
fn hits(case: &Case, options: &Options, servers: &[Server]) -> Vec<Hit> {
    let mut rounds: Vec<Vec<Hit>> = servers.iter().map(|_| Vec::new()).collect();
    for server in servers {
        server.reset_peak_memory();
    }
    for round in 1..=options.rounds {
        for (server, hits) in servers.iter().zip(&mut rounds) {
            let etag = fill::warm(&server.address, case.path);
            let etag = case.not_modified.then_some(etag.as_str());
            let hit = wrk::run(&server.url(case.path), etag, options.seconds, options.connections);
            eprintln!("{} | {} | round {round} | {hit}", case.name, server.name);
            hits.push(hit);
        }
    }
    rounds.into_iter().map(report::median_hit).collect()
}

fn fills<'a>(
    readers: usize,
    rounds: usize,
    cold: &mut impl Iterator<Item = &'a String>,
    origin: &Origin,
    servers: &[Server],
) -> Vec<Fill> {
    let mut all: Vec<Vec<Fill>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        let path = cold.next().expect("the registry was built with a cold file for each round");
        for (server, fills) in servers.iter().zip(&mut all) {
            server.reset_peak_memory();
            let (before, asked) = (server.memory(), origin.requests_of(path));
            let began = Instant::now();
            let bytes = fill::read_all(&server.address, path, readers, Duration::from_secs(120));
            let elapsed = began.elapsed();
            assert!(bytes.iter().all(|n| *n == bytes[0] && *n > 0), "{}: not all readers got the file", server.name);
            let extra = server.peak_memory().saturating_sub(before);
            let fill = Fill { elapsed, upstream_requests: origin.requests_of(path) - asked, extra_memory: extra };
            eprintln!("cold {readers} | {} | round {round} | {fill}", server.name);
            fills.push(fill);
        }
    }
    all.into_iter().map(report::median_fill).collect()
}

impl Options {
    fn describe(&self) -> String {
        let Self { seconds, rounds, connections, .. } = self;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        format!("{cores} shared cores, wrk -t1 -c{connections} -d{seconds}s, medians of {rounds} interleaved rounds")
    }
}
