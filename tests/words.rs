//! The words that people read are plain English: no string of the program, doc comment, page of help or document contains
//! a phrase that only its authors understand, and files are named with nouns of the field.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and clippy's exemption ends at the test functions"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use hexkeep::cli::Cli;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Phrases that made readers stop, in lower case, and what to write instead. They are found as whole words.
const RIDDLES: &[(&str, &str)] = &[
    ("anew", "again; of things: rebuild, create, fetch again"),
    ("at hand", "available"),
    ("be had", "available"),
    ("carried out", "run, executed"),
    ("for good", "permanently"),
    ("from of old", "existing"),
    ("good for nothing", "has no effect"),
    ("heretofore", "until now"),
    ("hitherto", "until now"),
    ("if that is meant", "if this is intended"),
    ("in force", "active"),
    ("in vain", "without success"),
    ("is there twice", "occurs twice"),
    ("it is let in", "access granted"),
    ("let in", "access granted"),
    ("let it in", "access granted"),
    ("made anew", "rebuilt"),
    ("of theirs", "their"),
    ("on its own account", "by itself"),
    ("shut out", "access denied"),
    ("take it out", "remove it"),
    ("thereof", "of it"),
    ("turned away", "refused"),
    ("whereof", "of which"),
    ("whoever", "the user, the client, the caller"),
    ("whomever", "the user, the client, the caller"),
    ("whosoever", "the user, the client, the caller"),
];

/// Words in the name of a file or folder that are no nouns of the field: pronouns, verbs and participles without a noun.
const NO_NOUNS: &[&str] = &[
    "any", "asked", "book", "carried", "fro", "heard", "it", "known", "lost", "made", "none", "owed", "patience",
    "says", "shown", "story", "theirs", "things", "told", "uses", "what", "which", "whose", "wishes", "works",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|one| one == extension) {
            found.push(path);
        }
    }
}

/// A text that people read, and where it is written.
struct Sentence {
    place: String,
    text: String,
}

/// The strings and doc comments of a source file, without its tests.
fn sentences(path: &Path, sentences: &mut Vec<Sentence>) {
    let text = fs::read_to_string(path).unwrap();
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.strip_prefix(root()).unwrap().display().to_string();
    collect(tokens, &name, sentences);
}

fn collect(tokens: TokenStream, file: &str, sentences: &mut Vec<Sentence>) {
    let mut of_tests = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                // `#[cfg(test)]` stands before the item; the next block is the item's body.
                of_tests |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                let is_body = group.delimiter() == Delimiter::Brace;
                if !(of_tests && is_body) {
                    collect(group.stream(), file, sentences);
                }
                of_tests &= !is_body;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => of_tests = false,
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains(' ') {
                    sentences.push(Sentence { place: format!("{file}:{}", literal.span().start().line), text });
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn of_program() -> Vec<Sentence> {
    let mut paths = Vec::new();
    files(&root().join("src"), "rs", &mut paths);
    let mut found = Vec::new();
    for path in paths {
        sentences(&path, &mut found);
    }
    assert!(found.len() > 5000, "{} sentences were found", found.len());
    found
}

fn of_help(command: &mut clap::Command, found: &mut Vec<Sentence>) {
    let text = command.render_long_help().to_string();
    found.push(Sentence { place: format!("hexkeep {} --help", command.get_name()), text });
    for subcommand in command.get_subcommands_mut() {
        of_help(subcommand, found);
    }
}

/// Decisions and the list of changes are history; they quote what was.
fn of_documents() -> Vec<Sentence> {
    let mut paths = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let lines = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        let line = move |(number, line): (usize, &str)| Sentence {
            place: format!("{name}:{}", number + 1),
            // Code names things that exist, tests among them.
            text: line.split('`').step_by(2).collect::<Vec<_>>().join(" "),
        };
        text.lines().enumerate().map(line).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(lines).collect()
}

/// The riddles in `text`.
fn riddles(text: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let words = text.to_lowercase().replace(|character: char| !character.is_alphanumeric() && character != '\'', " ");
    let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
    RIDDLES.iter().filter(move |(riddle, _)| words.contains(&format!(" {riddle} ")))
}

#[test]
fn riddles_are_found() {
    let found = |text| riddles(text).map(|(riddle, _)| *riddle).collect::<Vec<_>>();
    assert_eq!(found("the file is made\n  anew,"), ["anew", "made anew"]);
    assert_eq!(found("Whoever asks is let in."), ["let in", "whoever"]);
    assert_eq!(found("an outlet inside; renewed"), [""; 0]);
}

#[test]
fn tests_are_no_sentences_of_the_program() {
    let tokens = "/// A doc comment.\n#[cfg(test)] use a::b;\nfn f() { g(\"a string\") }\n#[cfg(test)] mod t { const A: &str = \"of a test\"; }\n\
                  const B: &str = \"and behind\";";
    let mut found = Vec::new();
    collect(tokens.parse().unwrap(), "f", &mut found);
    let found: Vec<&str> = found.iter().map(|sentence| sentence.text.as_str()).collect();
    assert_eq!(found, ["\" A doc comment.\"", "\"a string\"", "\"and behind\""]);
}

#[test]
fn nobody_reads_a_riddle() {
    let mut sentences = of_program();
    sentences.extend(of_documents());
    of_help(&mut Cli::command(), &mut sentences);
    let mut faults = String::new();
    for sentence in &sentences {
        for (riddle, instead) in riddles(&sentence.text) {
            writeln!(faults, "{}: “{riddle}”: write “{instead}”", sentence.place).unwrap();
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn files_are_named_with_nouns_of_the_field() {
    let mut paths = Vec::new();
    files(&root().join("src"), "rs", &mut paths);
    let of_path = |path: &PathBuf| {
        let path = path.strip_prefix(root()).unwrap().with_extension("");
        path.iter().map(|part| part.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let names: BTreeSet<String> = paths.iter().flat_map(of_path).collect();
    assert!(names.len() > 200, "{} names were found", names.len());
    let puzzling: Vec<&String> =
        names.iter().filter(|name| name.split('_').all(|word| NO_NOUNS.contains(&word))).collect();
    assert!(puzzling.is_empty(), "a stranger cannot tell what is in {puzzling:?}");
}
