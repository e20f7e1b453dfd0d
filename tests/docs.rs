//! What the documents say and a machine can check: links, configurations, keys, commands, metrics, modules, fields of the log.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and clippy's exemption ends at the test functions"
)]

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

    /// Whether it describes what is there now. Decisions and the list of changes are history.
    fn is_about_today(&self) -> bool {
        !self.path.ends_with("CHANGELOG.md") && !self.path.parent().unwrap().ends_with("adr")
    }

    /// The commands of the program in its scripts and in its text, each as typed behind its variables.
    fn commands(&self) -> Vec<String> {
        let scripts = self.blocks("sh");
        scripts.iter().flat_map(|script| script.lines()).chain(self.spans()).filter_map(command_at).collect()
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

/// A command of the program at the beginning of `text`, behind variables. The program's name alone is prose.
fn command_at(text: &str) -> Option<String> {
    let text = text.trim().replace("cargo run --release --", "hexkeep").replace("sudo -u hexkeep ", "");
    let mut rest = text.as_str();
    while let Some((_, behind)) = rest.split_once(' ').filter(|(first, _)| first.contains('=')) {
        rest = behind;
    }
    rest.starts_with("hexkeep ").then(|| rest.to_owned())
}

/// Commands in the comments of a sample of the configuration, where the program's name stands for nothing else: each ends at
/// the end of the line, at a backtick, or before two spaces.
fn commands_of_comments(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for comment in text.lines().filter_map(|line| line.trim_start().strip_prefix('#')) {
        for (at, _) in comment.match_indices("hexkeep ") {
            let rest = comment.get(at..).unwrap();
            let end = ["`", "  "].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
            commands.push(rest.get(..end).unwrap().to_owned());
        }
    }
    commands
}

#[test]
fn every_command_is_one() {
    let mut commands: Vec<(PathBuf, String)> = Vec::new();
    for page in pages() {
        commands.extend(page.commands().into_iter().map(|command| (page.path.clone(), command)));
    }
    let of_pages = commands.len();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap() {
        let path = entry.unwrap().path();
        let found = commands_of_comments(&fs::read_to_string(&path).unwrap());
        commands.extend(found.into_iter().map(|command| (path.clone(), command)));
    }
    for (path, command) in &commands {
        let words = command.split(" > ").next().unwrap().split_whitespace();
        let parsed = Cli::command().try_get_matches_from(words);
        assert!(parsed.is_ok(), "{}: {command}\n{}", path.display(), parsed.unwrap_err());
    }
    let of_samples = commands.len() - of_pages;
    assert!(of_pages >= 60 && of_samples >= 10, "{of_pages} and {of_samples} commands were found");
}

/// The names of the commands below `command` that have none below them, each after those above it.
fn leaves(command: &clap::Command, above: &str, found: &mut Vec<String>) {
    let name = format!("{above}{}", command.get_name());
    let mut is_leaf = true;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        is_leaf = false;
        leaves(below, &format!("{name} "), found);
    }
    if is_leaf {
        found.push(name);
    }
}

#[test]
fn every_command_is_documented() {
    let pages = pages();
    let documented: Vec<String> = pages.iter().filter(|page| page.is_about_today()).flat_map(Page::commands).collect();
    let mut commands = Vec::new();
    leaves(&Cli::command(), "", &mut commands);
    assert!(commands.len() > 30, "{commands:?}");
    commands.retain(|command| {
        let begins =
            |line: &String| line.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        !documented.iter().any(begins)
    });
    assert!(commands.is_empty(), "no page says how these are called: {commands:#?}");
}

/// The keys in the first column of each table of `section`.
fn keys_in_tables(section: &str) -> Vec<BTreeSet<String>> {
    let mut tables = Vec::new();
    let mut is_table = false;
    for line in section.lines() {
        if line.starts_with("| key |") {
            tables.push(BTreeSet::new());
            is_table = true;
        } else if let Some(row) = line.strip_prefix("| ").filter(|_| is_table) {
            tables.last_mut().unwrap().insert(row.split(" |").next().unwrap().trim_matches('`').to_owned());
        } else {
            is_table = is_table && line.starts_with('|');
        }
    }
    tables
}

/// The keys that the program knows where `configuration` has a key that it does not know.
fn keys_known_at(configuration: &str) -> BTreeSet<String> {
    let text = configuration.replace("UNKNOWN", "zzzzzzzzzzzzzzzzzzzz: 1");
    let source = Source::Text { text, base_dir: PathBuf::new(), name: "test".to_owned() };
    let fault = config::load(source, [], Path::new("/base")).unwrap_err().to_string();
    let known = fault.lines().find_map(|line| line.split_once("unknown key; use one of ")).unwrap_or_else(|| {
        panic!("{configuration}: {fault}");
    });
    known.1.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_manual_has_every_key_of_the_configuration_and_no_other() {
    let manual = include_str!("../docs/CONFIGURATION.md");
    let keys = manual.split_once("\n## Keys\n").unwrap().1.split("\n## ").next().unwrap();
    let sections: Vec<(&str, &str)> =
        keys.split("\n### `").skip(1).map(|section| section.split_once("`\n").unwrap()).collect();
    let headings = sections.iter().map(|(heading, _)| heading.split('.').next().unwrap().to_owned());
    assert_eq!(headings.collect::<BTreeSet<_>>(), keys_known_at("{ UNKNOWN }"));

    for (heading, section) in &sections {
        let tables = keys_in_tables(section);
        let union = |tables: &[&BTreeSet<String>]| tables.iter().flat_map(|keys| keys.iter().cloned()).collect();
        let places: Vec<(String, BTreeSet<String>)> = match (*heading, tables.as_slice()) {
            ("policies.NAME", [policy, rules]) => vec![
                ("policies: { ppp: { UNKNOWN } }".to_owned(), policy.clone()),
                (
                    "policies: { ppp: { mode: enforce, repositories: { hexpm: { UNKNOWN } } } }".to_owned(),
                    rules.clone(),
                ),
            ],
            ("repositories.KEY", [all, local, remote, mirror, of_virtual]) => vec![
                (
                    "default_repository: acme\nrepositories: { acme: { type: local, UNKNOWN } }".to_owned(),
                    union(&[all, local]),
                ),
                (
                    "default_repository: acme\nrepositories: { acme: { type: remote, UNKNOWN } }".to_owned(),
                    union(&[all, remote]),
                ),
                (
                    "default_repository: acme\nrepositories: { acme: { type: remote, mirror: { UNKNOWN } } }"
                        .to_owned(),
                    mirror.clone(),
                ),
                (
                    "default_repository: acme\nrepositories: { acme: { type: virtual, UNKNOWN } }".to_owned(),
                    union(&[all, of_virtual]),
                ),
            ],
            (heading, [keys]) => vec![(format!("{heading}: {{ UNKNOWN }}"), keys.clone())],
            ("default_repository", []) => Vec::new(),
            (heading, tables) => panic!("{heading}: {} tables", tables.len()),
        };
        for (place, documented) in places {
            assert_eq!(documented, keys_known_at(&place), "{place}");
        }
    }

    // Keys with their section, on every page.
    let mut checked = 0;
    for page in pages().iter().filter(|page| page.is_about_today()) {
        for span in page.spans() {
            let mut steps = span.split([':', ' ', '[']).next().unwrap().split('.');
            let Some((heading, section)) =
                steps.next().and_then(|s| sections.iter().find(|(heading, _)| *heading == s))
            else {
                continue;
            };
            let Some(key) = steps.next().filter(|key| !key.is_empty() && *key != "rs") else { continue };
            let known = keys_in_tables(section).iter().any(|table| table.contains(key));
            assert!(known, "{}: {heading} has no key {key}", page.path.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} keys were found");
}

/// Every field, in the order of the line.
#[test]
fn the_manual_has_every_field_of_an_access_line() {
    let manual = include_str!("../docs/LOGGING.md");
    let table = manual.split_once("## The access line\n").unwrap().1.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let documented: Vec<&str> =
        rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2)).collect();
    let source = include_str!("../src/telemetry/access.rs");
    let written: Vec<&str> = source.split("name!(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(written.contains(&"request_id"), "{written:?}");
    assert_eq!(documented, written);
}

/// A file of `src`: its path without an ending, in steps, and its text.
struct Module {
    steps: Vec<String>,
    text: String,
}

fn modules(folder: &Path, above: &[String], found: &mut Vec<Module>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut steps = above.to_vec();
        steps.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        if path.is_dir() {
            modules(&path, &steps, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Module { steps, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Whether `path` names something of the sources: each step a module below those before it, or an item there.
fn is_in_the_sources(path: &str, modules: &[Module]) -> bool {
    const ITEMS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "macro_rules!", "union"];
    let mut scope: Vec<&Module> = modules.iter().collect();
    for step in path.split("::") {
        let below: Vec<&Module> =
            scope.iter().copied().filter(|module| module.steps.iter().any(|s| s == step)).collect();
        if !below.is_empty() {
            scope = below;
            continue;
        }
        let declares = |module: &Module| {
            ITEMS.iter().any(|item| {
                let declaration = format!("{item} {step}");
                let mut after = module.text.split(&declaration).skip(1);
                after.any(|rest| !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_'))
            })
        };
        // Methods of a type may be in other files of its room.
        let rooms: BTreeSet<&String> =
            scope.iter().filter(|module| declares(module)).filter_map(|module| module.steps.first()).collect();
        if rooms.is_empty() {
            return false;
        }
        scope = modules.iter().filter(|module| module.steps.first().is_some_and(|room| rooms.contains(room))).collect();
    }
    true
}

#[test]
fn every_module_and_file_that_is_named_exists() {
    const FOLDERS: [&str; 9] = ["src", "tests", "benches", "config", "docs", "fuzz", "deploy", "proto", ".ci"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    modules(&root.join("src"), &[], &mut sources);
    assert!(!is_in_the_sources("http::nothing_of_the_kind", &sources) && !is_in_the_sources("Nothing::new", &sources));
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in pages().iter().filter(|page| page.is_about_today()) {
        for span in page.spans() {
            let is_path = span.contains("::") && span.chars().all(|char| char.is_alphanumeric() || "_:".contains(char));
            if is_path && !span.starts_with("hexkeep::") && !span.contains(":::") && !span.ends_with("::") {
                checked += 1;
                if !is_in_the_sources(span, &sources) {
                    wrong.push(format!("{}: {span}", page.path.display()));
                }
            }
            // Up to the first part that stands for a name.
            let is_a_name =
                |step: &str| !step.ends_with(".md") && step.contains(|char: char| char.is_ascii_uppercase());
            let steps: Vec<&str> = span.split('/').take_while(|step| !is_a_name(step)).collect();
            let is_at_the_root = steps.len() > 1 && FOLDERS.contains(&steps[0]);
            let is_source = span.ends_with(".rs") && span.contains('/');
            if (is_at_the_root || is_source) && !span.contains([' ', '…']) && steps != ["fuzz", "corpus"] {
                checked += 1;
                let path: PathBuf = steps.iter().collect();
                if !root.join(&path).exists() && !root.join("src").join(&path).exists() {
                    wrong.push(format!("{}: {span}", page.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "pages name what is not there: {wrong:#?}");
    assert!(checked > 100, "{checked} names were found");
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
    for page in pages().iter().filter(|page| page.is_about_today()) {
        let words = page.text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        for word in words.filter(|word| word.starts_with("hexkeep_") && *word != "hexkeep_") {
            assert!(exposed.contains(word), "{}: there is no metric {word}", page.path.display());
        }
    }
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
            let reason = cell.strip_prefix("not applicable: ").is_some_and(|reason| reason.len() > 20);
            assert!(reason || !named.is_empty(), "{name}, {way}: neither a test nor a reason");
            for test in named {
                assert!(tests.contains(&format!("fn {test}()")), "{name}, {way}: there is no test {test}");
            }
        }
        promises += 1;
    }
    assert_eq!((promises, ways.len()), (PROMISES, WAYS), "a promise or a way is missing: {ways:?}");
}
