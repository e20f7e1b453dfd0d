//! What the documents say and a machine can check: links, configurations, commands, metrics.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and clippy's exemption ends at the test functions")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use hexkeep::cli::Cli;
use hexkeep::config::{self, Source};
use hexkeep::telemetry::metrics::{Metrics, ReasonLabels, RepositoryLabels, RequestKind, RequestLabels};

/// A page and its text.
struct Page {
    path: PathBuf,
    text: String,
}

/// The pages of the repository: those at its root, and every folder of documents.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in [".", "docs", "docs/adr", "fuzz"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(Page { text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    pages
}

impl Page {
    /// The fenced blocks in `language`.
    fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut open: Option<(bool, String)> = None;
        for line in self.text.lines() {
            let fence = line.trim_start().strip_prefix("```");
            match (fence, open.as_mut()) {
                (Some(opened_as), None) => open = Some((opened_as == language, String::new())),
                (Some(_), Some(_)) => blocks.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, block)| block)),
                (None, Some((_, block))) => {
                    block.push_str(line);
                    block.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks
    }

    /// Code within a line.
    fn spans(&self) -> impl Iterator<Item = &str> {
        let prose = self.text.lines().filter(|line| !line.trim_start().starts_with("```"));
        prose.flat_map(|line| line.split('`').skip(1).step_by(2))
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let mut checked = 0;
    for page in pages() {
        for (at, _) in page.text.match_indices("](") {
            let target = page.text.get(at + 2..).and_then(|rest| rest.split(')').next()).unwrap();
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            let leads_to = page.path.parent().unwrap().join(file);
            assert!(leads_to.exists(), "{}: {target}", page.path.display());
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked} links were found");
}

/// Those of CONFIGURATION.md refer to files, which the tests of the configuration provide.
#[test]
fn every_configuration_loads() {
    let mut loaded = 0;
    for page in pages().iter().filter(|page| !page.path.ends_with("docs/CONFIGURATION.md")) {
        for text in page.blocks("yaml") {
            let source = Source::Text { text, base_dir: PathBuf::new(), name: page.path.display().to_string() };
            let outcome = config::load(source, [], Path::new("/base"));
            assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
            loaded += 1;
        }
    }
    assert!(loaded >= 2, "{loaded} configurations were found");
}

#[test]
fn every_command_is_one() {
    let mut checked = 0;
    for page in pages() {
        let scripts = page.blocks("sh");
        for line in scripts.iter().flat_map(|script| script.lines()).chain(page.spans()) {
            let line = line.trim().replace("cargo run --release --", "hexkeep");
            // The program's name alone is prose.
            if !line.starts_with("hexkeep ") {
                continue;
            }
            let words = line.split(" > ").next().unwrap().split_whitespace();
            let parsed = Cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{}: {line}\n{}", page.path.display(), parsed.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} commands were found");
}

#[test]
fn the_manual_names_every_metric_and_no_other() {
    let metrics = Metrics::new();
    // A family without a value is not rendered.
    let reason = ReasonLabels { repository: "r".into(), reason: "x" };
    for family in [
        &metrics.upstream_requests,
        &metrics.untrusted,
        &metrics.stale,
        &metrics.upstream_changes,
        &metrics.policy_denied,
        &metrics.policy_would_deny,
        &metrics.warmed,
        &metrics.damaged,
        &metrics.bypassed,
        &metrics.reloads,
        &metrics.advisory_refreshes,
    ] {
        family.get_or_create(&reason).inc();
    }
    let repository = RepositoryLabels { repository: "r".into() };
    metrics.upstream_bytes.get_or_create(&repository).inc();
    metrics.sealed.get_or_create(&repository).inc();
    metrics.upstream_up.get_or_create(&repository).set(1);
    metrics.policy_unevaluated.get_or_create(&repository).set(1);
    metrics.advisories.get_or_create(&repository).set(1);
    let request = RequestLabels { repository: "r".into(), kind: "names", status: 200, cache: "hit" };
    metrics.requests.get_or_create(&request).inc();
    metrics.request_seconds.get_or_create(&RequestKind { kind: "names", cache: "hit" }).observe(0.1);

    let rendered = metrics.render();
    let exposed: BTreeSet<String> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    let registered = include_str!("../src/telemetry/metrics.rs").matches("r.register(").count();
    assert_eq!(exposed.len(), registered, "a family is missing in this test:\n{rendered}");

    let manual = include_str!("../docs/OPERATIONS.md");
    let documented: BTreeSet<String> = manual
        .split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| word.starts_with("hexkeep_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, exposed);
}

/// The text of every file of tests below `folder`.
fn tests_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&tests_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// The table of SECURITY.md: each promise on each way, by tests that exist, or a reason.
#[test]
fn every_promise_is_held_on_every_way() {
    const WAYS: usize = 19;
    const PROMISES: usize = 6;
    let manual = include_str!("../docs/SECURITY.md");
    let table = manual.split_once("## Every promise on every way\n").unwrap().1;
    let table = table.split("\n## ").next().unwrap();
    let tests = tests_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let (mut promises, mut ways) = (0, BTreeSet::new());
    for promise in table.split("\n### ").skip(1) {
        let name = promise.lines().next().unwrap();
        let rows: Vec<(&str, &str)> = promise
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
            .filter(|(way, _)| *way != "way")
            .collect();
        assert_eq!(rows.len(), WAYS, "{name}");
        for (way, cell) in rows {
            ways.insert(way.to_owned());
            let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let reason = cell.strip_prefix("no way: ").is_some_and(|reason| reason.len() > 20);
            assert!(reason || !named.is_empty(), "{name}, {way}: neither a test nor a reason");
            for test in named {
                assert!(tests.contains(&format!("fn {test}()")), "{name}, {way}: there is no test {test}");
            }
        }
        promises += 1;
    }
    assert_eq!((promises, ways.len()), (PROMISES, WAYS), "a promise or a way is missing: {ways:?}");
}
