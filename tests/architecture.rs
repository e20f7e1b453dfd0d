//! Who may import whom, and what may be done only in one place: read from the sources, so that a new import is a
//! decision that somebody writes into the table of docs/ARCHITECTURE.md.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking, and clippy's exemption ends at the test functions themselves"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The table of rooms in docs/ARCHITECTURE.md.
#[derive(Debug, Default)]
struct Rooms {
    /// Rooms that any row names by the word `ground`.
    ground: BTreeSet<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    rooms: Vec<String>,
    /// What each of them may import besides itself: a whole room (`trust`), one of its modules or items
    /// (`hex::checksum`), `ground` or `everything`.
    may_import: Vec<String>,
}

impl Rooms {
    fn read() -> Self {
        let page = include_str!("../docs/ARCHITECTURE.md");
        Self::parse(page.split_once("\n## Rooms\n").unwrap().1.split("\n## ").next().unwrap())
    }

    fn parse(section: &str) -> Self {
        let mut rooms = Self::default();
        for row in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| room |")) {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let &[names, _, entries] = cells.as_slice() else { panic!("three cells: {row}") };
            let may_import: Vec<String> = match entries {
                "nothing" => Vec::new(),
                entries => entries.split(", ").map(|entry| import(entry, row).to_owned()).collect(),
            };
            let names_of_rooms = names.trim_start_matches("ground: ").split(' ');
            let names_of_rooms: Vec<String> = names_of_rooms
                .map(|name| code_span(name).unwrap_or_else(|| panic!("{name} is no room in: {row}")).to_owned())
                .collect();
            assert!(names_of_rooms.iter().all(|room| rooms.row(room).is_none()), "a room twice: {row}");
            if names.starts_with("ground: ") {
                rooms.ground.extend(names_of_rooms.iter().cloned());
            }
            rooms.rows.push(Row { rooms: names_of_rooms, may_import });
        }
        rooms
    }

    fn row(&self, room: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.rooms.iter().any(|name| name == room))
    }

    fn allow(&self, room: &str, path: &[String]) -> bool {
        let imported = path[0].as_str();
        let part = path.get(1).map(|part| format!("{imported}::{part}")).unwrap_or_default();
        imported == room
            || self.row(room).unwrap().may_import.iter().any(|entry| match entry.as_str() {
                "everything" => true,
                "ground" => self.ground.contains(imported),
                entry => entry == imported || entry == part,
            })
    }
}

fn code_span(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}

/// An entry of the last column: `ground`, `everything`, or a path as code.
fn import<'a>(entry: &'a str, row: &str) -> &'a str {
    match entry {
        "ground" | "everything" => entry,
        entry => code_span(entry).unwrap_or_else(|| panic!("{entry} is no path in: {row}")),
    }
}

/// Longer than [`USUAL_LINES`], and why that is better than two files.
const LONG_FILES: &[(&str, &str)] = &[
    ("repository/remote.rs", "one type: what a remote repository is asked, in one order of questions"),
    ("config/fault.rs", "one list: everything that can be wrong with a configuration, each with its sentence"),
    ("config/settings.rs", "one page: what each key means, types and a comment each"),
    ("http/dispatch.rs", "one way: from a request to its answer, in the order in which it is decided"),
    ("repository/enforcer/mod.rs", "one type: what a policy makes of an index, a file and a delivery, by one decision"),
];

const USUAL_LINES: usize = 400;
const MOST_LINES: usize = 700;

/// A file of `src`, without its tests, its comments blanked out.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    /// The whole text.
    text: String,
    /// What is compiled into the program, line by line.
    code: Vec<String>,
    /// Whether it is compiled for tests alone.
    is_test: bool,
}

impl Source {
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super::` lead out of the room.
    fn depth(&self) -> usize {
        let steps = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { steps - 1 } else { steps }
    }

    /// The modules declared here for tests alone, as paths below `src` without an ending.
    fn test_modules(&self) -> Vec<String> {
        let folder = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let lines = self.text.lines().zip(self.text.lines().skip(1)).filter(|(first, _)| *first == "#[cfg(test)]");
        let names = lines.filter_map(|(_, line)| line.split("mod ").nth(1)?.strip_suffix(';'));
        names.map(|name| format!("{folder}/{name}")).collect()
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut sources: Vec<Source> = paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = code(&text);
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            Source { path, text, code, is_test: false }
        })
        .collect();
    assert!(sources.len() > 100, "the sources were not found");
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let path = source.path.as_str();
        source.is_test = tests
            .iter()
            .any(|module| path.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with(['.', '/'])));
    }
    sources
}

/// The lines that are no comments, up to the tests. By the habits of this project a file's tests are its end, and a
/// module that only tests have is declared below its attribute.
fn code(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut skip_next = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        let is_test_item = std::mem::take(&mut skip_next);
        if line == "#[cfg(test)]" {
            skip_next = true;
        }
        if is_test_item && line.starts_with("mod tests {") {
            break;
        }
        let blank = is_test_item || trimmed.starts_with("//");
        lines.push(if blank { String::new() } else { line.split(" // ").next().unwrap().to_owned() });
    }
    lines
}

/// Every path that begins with `crate::` in `code`, with its line, groups taken apart.
fn imports(source: &Source) -> Vec<(usize, Vec<String>)> {
    let text = source.code.join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].matches('\n').count() + 1;
        let mut rest = &text[at + "crate::".len()..];
        let mut paths = Vec::new();
        tree(&mut rest, &[], &mut paths);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Reads what may stand behind `::` in a path or a `use`: `a`, `a::b`, `{a, b::{c, d}}`.
fn tree(rest: &mut &str, above: &[String], found: &mut Vec<Vec<String>>) {
    *rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        *rest = group;
        loop {
            tree(rest, above, found);
            *rest = rest.trim_start().trim_start_matches(',').trim_start();
            match rest.strip_prefix('}') {
                Some(after) => {
                    *rest = after;
                    return;
                }
                None if rest.is_empty() => return,
                None => {}
            }
        }
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(rest.len());
    let mut path = above.to_vec();
    path.push(rest[..end].to_owned());
    *rest = &rest[end..];
    match rest.strip_prefix("::") {
        Some(below) if !below.starts_with('<') => {
            *rest = below;
            tree(rest, &path, found);
        }
        _ => found.push(path),
    }
    // `use a as b`: the other name is no path.
    if let Some(renamed) = rest.strip_prefix(" as ") {
        *rest = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    }
}

#[test]
fn rooms_import_only_what_they_may() {
    let rooms = Rooms::read();
    let (mut wrong, mut imported) = (String::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| !source.is_test && source.path != "lib.rs") {
        let room = source.room();
        if room == "main" {
            continue;
        }
        assert!(rooms.row(room).is_some(), "src/{}: a room that ARCHITECTURE.md does not have", source.path);
        for (line, path) in imports(source) {
            if !rooms.allow(room, &path) {
                writeln!(wrong, "src/{}:{line}: `{room}` may not import `{}`", source.path, path.join("::")).unwrap();
            }
            imported.insert((room.to_owned(), path[0].clone()));
            imported.insert((room.to_owned(), path[..path.len().min(2)].join("::")));
        }
        let climb = "super::".repeat(source.depth());
        for (at, line) in source.code.iter().enumerate() {
            if line.contains(&climb) {
                writeln!(wrong, "src/{}:{}: a path of `super` leads out of the room", source.path, at + 1).unwrap();
            }
        }
    }
    for row in &rooms.rows {
        for entry in row.may_import.iter().filter(|entry| !["ground", "everything"].contains(&entry.as_str())) {
            if !row.rooms.iter().any(|room| imported.contains(&(room.clone(), entry.clone()))) {
                writeln!(wrong, "docs/ARCHITECTURE.md: {:?} do not import `{entry}`", row.rooms).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What the first lines of a module say of its imports is not held, and grows old.
#[test]
fn rules_of_imports_stand_in_the_table_alone() {
    let mut wrong = String::new();
    for source in sources() {
        let lines = source.text.lines().enumerate();
        for (at, line) in lines.take_while(|(_, line)| line.starts_with("//!")) {
            if ["ay import", "Imports ", "imports nothing"].iter().any(|words| line.contains(words)) {
                writeln!(wrong, "src/{}:{}: {line}", source.path, at + 1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "rules of imports stand in docs/ARCHITECTURE.md:\n{wrong}");
}

/// Fails where `word` is in the code of a file that is not among `homes`; a home that ends in `/` is a folder.
fn only_in(word: &str, homes: &[&str]) {
    let mut wrong = String::new();
    let mut used = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        for (at, _) in source.code.iter().enumerate().filter(|(_, line)| has_word(line, word)) {
            match homes
                .iter()
                .find(|home| source.path == **home || home.ends_with('/') && source.path.starts_with(**home))
            {
                Some(home) => {
                    used.insert(*home);
                }
                None => writeln!(wrong, "src/{}:{}: `{word}` belongs to {homes:?}", source.path, at + 1).unwrap(),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(used.len(), homes.len(), "`{word}` is in {used:?} only: the test looks for something that is gone");
}

/// Whether `line` holds `word` with nothing in front that would make it a part of another path or name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let begins_name = word.starts_with(|c: char| c.is_alphanumeric());
        !begins_name || before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[test]
fn files_are_renamed_only_where_they_are_published() {
    only_in("fs::rename", &["store/disk.rs"]);
    only_in(".rename(", &["store/publish.rs"]);
}

#[test]
fn files_of_local_repositories_go_through_the_vault() {
    // Which kind of vault it is only the store knows, and what blocks does so inside of it. One job writes and reads
    // archives on a thread of its own.
    only_in(".open_blocking(", &["tasks/bundle/"]);
}

#[test]
fn the_database_is_known_to_the_engine_alone() {
    only_in("sqlx", &["state/engine/"]);
}

#[test]
fn signatures_are_verified_in_one_place() {
    only_in(".verify_digest_sig(", &["trust/verify.rs"]);
    only_in("ParsedPublicKey", &["trust/public_key.rs"]);
    for source in sources() {
        for word in ["UnparsedPublicKey", ".verify_sig(", "signature::verify"] {
            assert!(!source.code.iter().any(|line| line.contains(word)), "src/{}: {word}", source.path);
        }
    }
}

#[test]
fn resources_are_signed_in_one_place() {
    // Whoever has a signer can sign: stages and repositories have payloads and a sealer instead.
    only_in(
        "Signer",
        &["trust/", "repository/sealer.rs", "repository/key_ring.rs", "tasks/bundle/archive.rs", "operations/", "app/"],
    );
    only_in(".seal(", &["repository/sealer.rs", "trust/signer.rs"]);
    only_in(".seal_again(", &["repository/key_ring.rs"]);
}

#[test]
fn files_of_releases_leave_through_one_delivery() {
    // Nobody else makes an answer of one, or writes down that one was given out.
    only_in("Delivered { answer", &["repository/delivery/"]);
    only_in(".write_delivery(", &["repository/delivery/"]);
    only_in(".delivered(", &["repository/delivery/", "repository/enforcer/exemptions.rs"]);
    // Its stages are for it alone.
    only_in(".obtain_tarball(", &["repository/delivery/"]);
    only_in(".obtain_docs(", &["repository/delivery/"]);
    only_in(".locate(", &["repository/delivery/", "repository/composite/locate.rs"]);
    only_in(".artifacts.get(", &["repository/remote/locate.rs"]);
    // A mirror brings documentation into the store, and gives none out.
    only_in("self.docs.get(", &["repository/remote/locate.rs", "repository/remote/mirroring.rs"]);
}

/// What is shown comes out of `repository::describe` without what its caller may not see, so nobody else leaves anything
/// out, or has what to leave it out of.
#[test]
fn what_is_shown_was_filtered_below() {
    const FILTERS: [&str; 9] = [
        "is_policed",
        "held_below",
        "without_held",
        "enforcer",
        "explain_policy",
        ".shown(",
        ".registry(",
        ".names.allows(",
        ".packages()",
    ];
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| !source.is_test) {
        for (at, line) in source.code.iter().enumerate() {
            for word in FILTERS.iter().filter(|word| line.contains(**word)) {
                match source.room() {
                    "repository" => _ = used.insert(*word),
                    // An address of a file is told to those alone who may fetch it.
                    "api" | "web" if source.path != "api/urls.rs" || *word != ".packages()" => {
                        writeln!(wrong, "src/{}:{}: `{word}` belongs to `repository::describe`", source.path, at + 1)
                            .unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(used.len(), FILTERS.len(), "only {used:?} are there: the test looks for something that is gone");
}

#[test]
fn the_api_makes_json_in_its_views() {
    const MAKES: [&str; 4] = ["json!", "Value::Object", "Map<", "Map::new("];
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| !source.is_test && source.room() == "api") {
        for (at, line) in source.code.iter().enumerate() {
            for word in MAKES.iter().filter(|word| has_word(line, word)) {
                if source.path.starts_with("api/views/") {
                    used.insert(*word);
                } else {
                    writeln!(wrong, "src/{}:{}: `{word}` belongs to `api::views`", source.path, at + 1).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(used.len(), MAKES.len(), "only {used:?} are there: the test looks for something that is gone");
}

#[test]
fn plans_of_freshness_are_acted_on_in_one_place() {
    for plan in ["Plan::Serve", "Plan::RevalidateOrStale", "Plan::Refuse"] {
        only_in(plan, &["cache/freshness.rs", "cache/read_through.rs"]);
    }
}

/// RUSTSEC-2023-0071 is about operations with private keys over a network: this crate is for making keys and for PEM.
#[test]
fn the_rsa_crate_makes_and_reads_keys_and_nothing_else() {
    let mut users = 0;
    for source in sources().iter().filter(|source| !source.is_test) {
        let code = source.code.join("\n").replace("aws_lc_rs::rsa::", "");
        if !has_word(&code, "rsa::") && !code.contains("RsaPrivateKey") {
            continue;
        }
        users += 1;
        assert!(source.path.starts_with("trust/"), "src/{}: the rsa crate belongs to `trust`", source.path);
        for word in [
            ".sign(",
            "sign_with",
            ".decrypt",
            ".encrypt",
            "Pkcs1v15",
            "pkcs1v15",
            "Oaep",
            "oaep",
            "Pss",
            "pss::",
            "hazmat",
            "SigningKey",
            "rsa::traits",
        ] {
            assert!(!code.contains(word), "src/{}: the rsa crate is not for `{word}`", source.path);
        }
    }
    assert!(users > 0, "the rsa crate is not used at all");
}

#[test]
fn the_wall_clock_is_read_and_tasks_are_spawned_in_their_homes() {
    only_in("SystemTime::now", &["clock.rs"]);
    only_in("tokio::spawn", &["shutdown.rs"]);
    only_in("task::spawn_blocking", &["shutdown.rs"]);
    only_in("thread::Builder", &["telemetry/logging.rs"]);
    for source in sources().iter().filter(|source| !source.is_test) {
        let bare = source.code.iter().position(|line| has_word(line, "thread::spawn"));
        assert_eq!(bare, None, "src/{}: a bare thread", source.path);
    }
}

#[test]
fn pure_rooms_see_neither_network_nor_files_nor_time() {
    const OUTSIDE: &[&str] = &[
        "tokio",
        "hyper",
        "reqwest",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "clock::Clock",
        "SystemClock",
        "fastrand",
    ];
    let mut wrong = String::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        if !["hex", "trust", "policy"].contains(&source.room()) {
            continue;
        }
        for (at, line) in source.code.iter().enumerate() {
            for word in OUTSIDE.iter().filter(|word| has_word(line, word)) {
                writeln!(wrong, "src/{}:{}: `{word}` in a pure room", source.path, at + 1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The settings of single rules. Knowing them is knowing a rule by name.
const SETTINGS_OF_RULES: &[&str] = &[
    "freeze_after",
    "advisory_min_severity",
    "retirement_reasons",
    "unknown_published_at",
    "cooldown_exempt_security_fixes",
    "LicenceFault",
    "CooldownError",
];

#[test]
fn nobody_knows_a_rule_of_a_policy_by_name() {
    for word in SETTINGS_OF_RULES {
        only_in(word, &["policy/rules/"]);
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> =
        sources().into_iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path).collect();
    assert!(silent.is_empty(), "files that do not begin with `//!`: {silent:?}");
}

#[test]
fn long_files_are_few_and_have_a_reason() {
    let sources = sources();
    let mut wrong = String::new();
    for source in &sources {
        let lines = source.text.lines().count();
        let has_reason = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if lines > MOST_LINES {
            writeln!(wrong, "src/{} has {lines} lines: no reason is good enough", source.path).unwrap();
        } else if lines > USUAL_LINES && !has_reason {
            writeln!(wrong, "src/{} has {lines} lines: split it, or say in this test why not", source.path).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    for (path, _) in LONG_FILES {
        assert!(sources.iter().any(|source| source.path == *path), "{path} is gone");
    }
}

/// The reader of imports is itself worth a test: one that sees nothing would pass everything.
#[test]
fn imports_are_read_in_every_spelling() {
    let text = "//! crate::comment::x\n\
                use crate::{a::{b, c::D}, e};\n\
                use crate::f::G as H; // crate::not::this\n\
                fn x() { crate::i::j::<u8>(crate::k::L) }\n\
                #[cfg(test)]\nmod strategies;\n\
                #[cfg(test)]\nmod tests {\n    use crate::tested::T;\n}\n";
    let source = Source { path: "x/y.rs".to_owned(), text: text.to_owned(), code: code(text), is_test: false };
    assert_eq!(source.test_modules(), ["x/y/strategies"]);
    let found: Vec<String> =
        imports(&source).into_iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
    assert_eq!(found, ["2 a::b", "2 a::c::D", "2 e", "3 f::G", "4 i::j", "4 k::L"]);
}

#[test]
fn the_table_of_rooms_is_read_and_held() {
    let rooms = Rooms::parse(
        "| room | what it does | may import, of ours |\n|---|---|---|\n\
         | ground: `clock` `size` | time | nothing |\n| `hex` | pure | `size` |\n\
         | `store` `state` | bytes | ground, `hex::checksum` |\n| `app` | root | everything |\n",
    );
    let allow = |room: &str, path: &[&str]| {
        let path: Vec<String> = path.iter().map(|&step| step.to_owned()).collect();
        rooms.allow(room, &path)
    };
    assert!(allow("state", &["hex", "checksum", "Sha256"]) && !allow("state", &["hex", "name"]));
    assert!(allow("store", &["clock"]) && !allow("clock", &["size"]) && !allow("hex", &["clock"]));
    assert!(allow("app", &["hex", "name"]) && allow("hex", &["hex", "name"]));
}
