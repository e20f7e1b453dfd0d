//! Thousands of inputs, put to us and to Erlang and the reference library that rebar3 carries: what they refuse we refuse,
//! and what both take means the same. All of a kind go through one run of Erlang.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::limits;
use hexkeep::hex::metadata::{Metadata, licences_of};
use hexkeep::hex::term::{self, Term, etf, text};
use hexkeep::hex::upload::{self, outer::Outer};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Client, program, script};
use crate::tarballs::{archive, gzip, pack};

fn frames(inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for input in inputs {
        bytes.extend(u32::try_from(input.len()).unwrap().to_be_bytes());
        bytes.extend(input);
    }
    bytes
}

fn unframe(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (frame, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        found.push(frame.to_vec());
        bytes = rest;
    }
    found
}

/// What Erlang says to an input.
enum Theirs {
    Taken(Vec<u8>),
    Refused(String),
}

struct Answers {
    terms: Vec<Vec<u8>>,
    texts: Vec<Vec<u8>>,
    mutants: Vec<Theirs>,
    tarballs: Vec<Theirs>,
}

fn ask(rebar3: &Path, terms: &[Vec<u8>], mutants: &[Vec<u8>], tarballs: &[Vec<u8>]) -> Answers {
    let folder = tempfile::TempDir::with_prefix("hexkeep-differential-").unwrap();
    for (file, inputs) in [("terms.in", terms), ("mutants.in", mutants), ("tarballs.in", tarballs)] {
        fs::write(folder.path().join(file), frames(inputs)).unwrap();
    }
    let escript = program("escript");
    let home = tempfile::TempDir::new().unwrap();
    let program = script("differential.escript");
    Client::new(&escript, home.path())
        .args([program.as_os_str(), rebar3.as_os_str(), folder.path().as_os_str()])
        .succeed();
    let read = |file: &str| unframe(&fs::read(folder.path().join(file)).unwrap());
    let answers = |file: &str| {
        let answer = |frame: Vec<u8>| match frame.split_first() {
            Some((1, term)) => Theirs::Taken(term.to_vec()),
            Some((_, reason)) => Theirs::Refused(String::from_utf8_lossy(reason).into_owned()),
            None => panic!("an empty answer"),
        };
        read(file).into_iter().map(answer).collect()
    };
    Answers {
        terms: read("terms.out"),
        texts: read("texts.out"),
        mutants: answers("mutants.out"),
        tarballs: answers("tarballs.out"),
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,12}", "[a-zé€😀\\\\\"\n]{0,8}"]
}

/// What a package may hold: the reference library cannot read a text that ends with a backslash.
fn package_text() -> impl Strategy<Value = String> {
    any_text().prop_filter("no backslash at its end", |text| !text.ends_with('\\'))
}

fn any_term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Term::Integer),
        (-300..300i64).prop_map(Term::Integer),
        "-?[1-9][0-9]{20,60}".prop_map(|digits| Term::Big(digits.into())),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Term::Float),
        prop_oneof!["[a-z][a-zA-Z0-9_@]{0,12}", "[ -~]{1,12}", "[é€a]{1,4}"].prop_map(|atom| Term::Atom(atom.into())),
        any_text().prop_map(|text| Term::Binary(text.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Term::Binary),
        prop::collection::vec(any::<u8>(), 0..12)
            .prop_map(|bytes| Term::List(bytes.into_iter().map(|byte| Term::Integer(i64::from(byte))).collect())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Term::List),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Term::Tuple),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Term::Map),
        ]
    })
}

/// Maps in one order, each key once: Erlang keeps the last of those that are equal to it.
fn settled(term: Term) -> Term {
    match term {
        Term::List(items) => Term::List(items.into_iter().map(settled).collect()),
        Term::Tuple(items) => Term::Tuple(items.into_iter().map(settled).collect()),
        Term::Map(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| (settled(key), settled(value)));
            let mut last: Vec<(Term, Term)> = Vec::new();
            for (key, value) in pairs {
                last.retain(|(other, _)| *other != key);
                last.push((key, value));
            }
            last.sort_by_key(|(key, _)| etf::encode(key));
            Term::Map(last)
        }
        other => other,
    }
}

fn sample<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// Bytes with something changed somewhere.
fn mutate(rng: &mut fastrand::Rng, bytes: &[u8], alphabet: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(0..bytes.len().max(1));
        let with = rng.choice(alphabet.iter().copied()).unwrap_or_else(|| rng.u8(..));
        match rng.u8(0..6) {
            _ if bytes.is_empty() => bytes.push(with),
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, with),
            3 => bytes[at] ^= 1 << rng.u8(0..8),
            _ => bytes[at] = with,
        }
    }
    bytes
}

pub(crate) fn terms_go_to_erlang_and_back() {
    let rebar3 = program("rebar3");
    let mut runner = TestRunner::deterministic();
    let strategy = any_term();
    let terms: Vec<Term> = (0..1500).map(|_| settled(sample(&mut runner, &strategy))).collect();
    let encoded: Vec<Vec<u8>> = terms.iter().map(etf::encode).collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let tags: Vec<u8> = [70, 77, 88, 89, 90].into_iter().chain(97..=120).chain([0, 1, 2, 131, 255]).collect();
    let mutants: Vec<Vec<u8>> = (0..6000)
        .map(|at| mutate(&mut rng, &encoded[at % encoded.len()], if at % 2 == 0 { &tags } else { &[] }))
        .collect();
    let answers = ask(&rebar3, &encoded, &mutants, &[]);

    for (at, term) in terms.iter().enumerate() {
        assert_eq!(settled(etf::decode(&encoded[at]).unwrap()), *term, "ours, encoded and decoded");
        assert_eq!(settled(etf::decode(&answers.terms[at]).unwrap()), *term, "through Erlang");
        let parsed = text::parse(&answers.texts[at]);
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answers.texts[at])));
        assert_eq!(
            parsed.into_iter().map(settled).collect::<Vec<_>>(),
            std::slice::from_ref(term),
            "as Erlang writes it"
        );
    }
    let mut taken = 0;
    for (mutant, theirs) in mutants.iter().zip(&answers.mutants) {
        match (etf::decode(mutant), theirs) {
            (Ok(ours), Theirs::Taken(term)) => {
                taken += 1;
                assert_eq!(settled(ours), settled(etf::decode(term).unwrap()), "{mutant:?}");
            }
            (Ok(ours), Theirs::Refused(reason)) => panic!("Erlang refuses {mutant:?} ({reason}), we take {ours:?}"),
            // We take data alone, in one spelling: no processes, no references, nothing behind the term.
            (Err(_), _) => {}
        }
    }
    assert!(taken > 500, "the mutants are too wild: {taken}");
}

/// A term as `metadata.config` has it.
fn written(term: &Term) -> String {
    let all = |items: &[Term]| items.iter().map(written).collect::<Vec<_>>().join(", ");
    match term {
        Term::Binary(bytes) => {
            let text = std::str::from_utf8(bytes).unwrap().replace('\\', "\\\\").replace('"', "\\\"");
            format!("<<\"{text}\"/utf8>>")
        }
        Term::Atom(text) => text.to_string(),
        Term::Integer(number) => number.to_string(),
        Term::Big(digits) => digits.to_string(),
        Term::Float(float) => format!("{float:?}"),
        Term::List(items) => format!("[{}]", all(items)),
        Term::Characters(text) => format!("{:?}", text.chars().map(u32::from).collect::<Vec<_>>()),
        Term::Tuple(items) => format!("{{{}}}", all(items)),
        Term::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{} => {}", written(key), written(value)));
            format!("#{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

fn binary(text: &str) -> Term {
    Term::Binary(text.as_bytes().to_vec())
}

/// A map, or a list of pairs, as older clients write it.
fn mapping(pairs: Vec<(Term, Term)>, as_map: bool) -> Term {
    if as_map {
        Term::Map(pairs)
    } else {
        Term::List(pairs.into_iter().map(|(key, value)| Term::Tuple(vec![key, value])).collect())
    }
}

fn any_extra() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        package_text().prop_map(|text| binary(&text)),
        (-1000..1000i64).prop_map(Term::Integer),
        any::<bool>().prop_map(|is| Term::Atom(is.to_string().into())),
    ];
    let inner = leaf.clone();
    prop_oneof![
        leaf,
        prop::collection::vec(inner.clone(), 1..4).prop_map(Term::List),
        prop::collection::btree_map("[a-z]{1,6}", inner, 1..4)
            .prop_map(|map| Term::Map(map.iter().map(|(key, value)| (binary(key), value.clone())).collect())),
    ]
}

fn any_metadata() -> impl Strategy<Value = String> {
    let requirement = prop_oneof!["~> [1-9]\\.[0-9]", ">= [0-9]\\.[0-9]\\.[0-9]", "== 1\\.0\\.0 or ~> 2\\.0"];
    let dependency = (requirement, any::<bool>());
    let texts = || prop::collection::vec(package_text().prop_filter("some", |text| !text.is_empty()), 0..3);
    (
        (
            "[a-z][a-z0-9_]{3,12}",
            "(0|[1-9][0-9]{0,2})\\.(0|[1-9][0-9]{0,2})\\.(0|[1-9][0-9]{0,2})(-[a-z]{1,4}\\.[1-9])?",
            package_text(),
        ),
        (texts(), texts(), prop::collection::btree_map("[A-Z][a-z]{1,6}", "https://[a-z]{2,8}\\.org/[a-z]{0,5}", 0..3)),
        prop::collection::btree_map("dep_[a-z]{1,5}", dependency, 0..4),
        prop::collection::btree_map("[a-z]{1,6}", any_extra(), 0..4),
        prop::collection::vec(any::<bool>(), 4),
    )
        .prop_map(|((name, version, description), (licenses, tools, links), requirements, extra, forms)| {
            let list = |texts: &[String]| Term::List(texts.iter().map(|text| binary(text)).collect());
            let pairs = |map: &std::collections::BTreeMap<String, String>| {
                map.iter().map(|(key, value)| (binary(key), binary(value))).collect::<Vec<_>>()
            };
            let requirements = requirements.iter().map(|(name, (requirement, optional))| {
                let fields = vec![
                    (binary("app"), binary(name)),
                    (binary("optional"), Term::Atom(optional.to_string().into())),
                    (binary("requirement"), binary(requirement)),
                ];
                (binary(name), mapping(fields, forms[0]))
            });
            let extra = extra.iter().map(|(key, value)| (binary(key), value.clone())).collect();
            let tools = if tools.is_empty() { vec!["mix".to_owned()] } else { tools };
            let fields = [
                ("name", binary(&name)),
                ("version", binary(&version)),
                ("app", binary(&name)),
                ("description", binary(&description)),
                ("files", Term::List(vec![binary("mix.exs")])),
                ("licenses", list(&licenses)),
                ("build_tools", list(&tools)),
                ("links", mapping(pairs(&links), forms[1])),
                ("requirements", mapping(requirements.collect(), forms[2])),
                ("extra", mapping(extra, forms[3])),
            ];
            let line = |(key, value): &(&str, Term)| format!("{{<<\"{key}\">>,{}}}.\n", written(value));
            fields.iter().map(line).collect()
        })
}

/// What a package says of itself, as far as both sides have words for it.
fn ours(metadata: &Metadata) -> Value {
    let requirements = metadata.requirements.iter().map(|dependency| {
        let fields = json!({
            "app": dependency.app, "optional": dependency.optional, "requirement": dependency.requirement,
        });
        (dependency.package.to_string(), fields)
    });
    json!({
        "name": metadata.name.as_str(),
        "version": metadata.version.as_str(),
        "app": metadata.app,
        "description": metadata.description,
        "licenses": metadata.licenses,
        "links": metadata.links,
        "requirements": requirements.collect::<serde_json::Map<_, _>>(),
        "extra": metadata.extra,
    })
}

/// Lists of pairs as maps: that is what they stand for.
fn mapped(term: Term) -> Term {
    let is_pair = |item: &Term| matches!(item, Term::Tuple(pair) if pair.len() == 2);
    match term {
        Term::List(items) if !items.is_empty() && items.iter().all(is_pair) => {
            let pair = |item| match item {
                Term::Tuple(pair) => <[Term; 2]>::try_from(pair).ok().map(|[key, value]| (key, mapped(value))),
                _ => None,
            };
            Term::Map(items.into_iter().filter_map(pair).collect())
        }
        Term::List(items) => Term::List(items.into_iter().map(mapped).collect()),
        Term::Map(pairs) => Term::Map(pairs.into_iter().map(|(key, value)| (key, mapped(value))).collect()),
        other => other,
    }
}

fn theirs(metadata: Term) -> Value {
    let shown = format!("{metadata:?}");
    let all = term::to_json(mapped(metadata)).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let mut chosen = serde_json::Map::new();
    for field in ["name", "version", "app", "description", "licenses", "links", "requirements", "extra"] {
        let value = all[field].clone();
        // An empty list of pairs is an empty map.
        let is_map = matches!(field, "links" | "requirements" | "extra");
        let value = match value {
            empty if is_map && empty == json!([]) => json!({}),
            blank if field == "description" && blank.as_str().is_some_and(|text| text.trim().is_empty()) => Value::Null,
            value => value,
        };
        chosen.insert(field.to_owned(), value);
    }
    Value::Object(chosen)
}

/// The fields that mean the same whichever others are spelt wrongly.
fn named(metadata: Value) -> Vec<Value> {
    let or = |field: &str, none: Value| if metadata[field].is_null() { none } else { metadata[field].clone() };
    let lists = [or("licenses", json!([])), or("links", json!({}))];
    ["name", "version", "app", "description"].map(|field| metadata[field].clone()).into_iter().chain(lists).collect()
}

pub(crate) fn tarballs_are_what_the_reference_library_says() {
    let rebar3 = program("rebar3");
    let mut runner = TestRunner::deterministic();
    let mut rng = fastrand::Rng::with_seed(2);
    let contents = gzip(&archive(&[("mix.exs", b"x"), ("lib/a.ex", &[b'y'; 600])]));
    let strategy = any_metadata();
    let texts: Vec<String> = (0..400).map(|_| sample(&mut runner, &strategy)).collect();
    let sound: Vec<Vec<u8>> = texts.iter().map(|text| pack(text.as_bytes(), &contents).0.to_vec()).collect();
    let mut mutants = Vec::new();
    for at in 0..2500 {
        // The text alone, sealed as if it had always been like that; then the whole file.
        let alphabet = b"{}[]<>\",.'\\#=%/ \n0a_utf8-$\xc3\xa9";
        let text = mutate(&mut rng, texts[at % texts.len()].as_bytes(), alphabet);
        mutants.push(pack(&text, &contents).0.to_vec());
        mutants.push(mutate(&mut rng, &sound[at % sound.len()], &[0, b' ', b'0', b'7', 0xff]));
        let gzip = mutate(&mut rng, &contents, &[]);
        mutants.push(pack(texts[at % texts.len()].as_bytes(), &gzip).0.to_vec());
    }
    let answers = ask(&rebar3, &[], &[], &[sound.clone(), mutants.clone()].concat());
    let (theirs_sound, theirs_mutated) = answers.tarballs.split_at(sound.len());

    let mut surprises = Vec::new();
    for ((tarball, text), answer) in sound.iter().zip(&texts).zip(theirs_sound) {
        let package = upload::package(Cursor::new(tarball)).unwrap_or_else(|error| panic!("{error}: {text}"));
        let answer = match answer {
            Theirs::Taken(answer) => answer,
            Theirs::Refused(reason) => panic!("they refuse what is sound: {reason}\n{text}"),
        };
        let Term::Tuple(parts) = etf::decode(answer).unwrap() else { panic!("no tuple") };
        let [Term::Binary(inner), Term::Binary(outer), metadata] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!(inner, package.inner.as_bytes());
        assert_eq!(outer, Sha256::of(tarball).as_bytes());
        let (ours, theirs) = (ours(&package.metadata), theirs(metadata.clone()));
        if ours != theirs {
            surprises.push(format!("we read {ours}\nthey read {theirs}\nof {text}"));
        }
    }

    let (mut taken, mut strict) = (0, 0);
    for (mutant, answer) in mutants.iter().zip(theirs_mutated) {
        match (upload::package(Cursor::new(mutant)), answer) {
            (Ok(package), Theirs::Taken(answer)) => {
                taken += 1;
                let Term::Tuple(parts) = etf::decode(answer).unwrap() else { panic!("no tuple") };
                let [Term::Binary(inner), Term::Binary(outer), metadata] = &parts[..] else { panic!("{parts:?}") };
                assert_eq!(
                    (inner.as_slice(), outer.as_slice()),
                    (&package.inner.as_bytes()[..], &Sha256::of(mutant).as_bytes()[..])
                );
                let (ours, theirs) = (named(ours(&package.metadata)), named(theirs(metadata.clone())));
                if ours != theirs {
                    surprises.push(format!(
                        "we read {ours:?}\nthey read {theirs:?}\nof {}",
                        String::from_utf8_lossy(&package.metadata_config)
                    ));
                }
            }
            (Err(_), Theirs::Taken(_)) => strict += 1,
            (Ok(package), Theirs::Refused(reason)) => {
                let text = String::from_utf8_lossy(&package.metadata_config);
                surprises.push(format!("they refuse: {reason}\n{text}"));
            }
            (Err(_), Theirs::Refused(_)) => {}
        }
    }
    assert!(surprises.is_empty(), "{} surprises\n\n{}", surprises.len(), surprises.join("\n\n"));
    assert!(taken > 300 && strict > 10, "the mutants are too wild, or too tame: {taken} {strict}");
}

/// What may stand in `metadata.config`, and what readers may make something else of.
const PIECES: [&str; 44] = [
    "{<<\"licenses\">>,",
    "[<<\"MIT\">>]",
    "<<\"AGPL\">>",
    "\"ISC\"",
    "}.\n",
    "{<<\"x\">>,",
    "<<\"",
    "\">>",
    "\"",
    "'",
    "\\",
    "\\\\",
    "\\\"",
    "\\'",
    "\\^",
    "\\\\^",
    "\\^A",
    "\\^\\",
    "\\101",
    "\\1",
    "\\777",
    "\\x41",
    "\\x{41}",
    "\\ ",
    "\\\n",
    "\\n",
    "\\q",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    " ",
    "nil",
    "licenses",
    "65",
    "321",
    "-1",
    "#{",
    "=>",
    "/utf8",
    "%",
    "é",
];

/// A text that is sound but for some pieces.
fn nasty(rng: &mut fastrand::Rng) -> String {
    let licences = |rng: &mut fastrand::Rng| {
        let mut text = String::new();
        for _ in 0..rng.usize(0..4) {
            text.push_str(if rng.bool() { "MIT" } else { PIECES[rng.usize(..PIECES.len())] });
        }
        let forms =
            ["[<<\"?\">>]", "<<\"?\"/utf8>>", "\"?\"", "[\"?\",<<\"ISC\">>]", "[<<65,\"?\">>]", "[65,66]", "['?']"];
        rng.choice(forms).unwrap().replace('?', &text)
    };
    let mut pieces: Vec<String> = Vec::new();
    for _ in 0..rng.usize(1..4) {
        let key =
            rng.choice(["<<\"licenses\">>", "<<\"x\">>", "<<\"y\">>", "licenses", "<<\"licenses\"/utf8>>"]).unwrap();
        pieces.extend(["{".to_owned(), key.to_owned(), ",".to_owned(), licences(rng), "}.\n".to_owned()]);
    }
    for _ in 0..rng.usize(0..3) {
        let at = rng.usize(0..=pieces.len());
        pieces.insert(at, (*rng.choice(&PIECES).unwrap()).to_owned());
    }
    pieces.concat()
}

/// A tarball of these parts in any order, some of them twice, under other names, or of other kinds.
fn shuffled(rng: &mut fastrand::Rng, metadata: &[&[u8]; 2], contents: &[u8]) -> Vec<u8> {
    let sum = |metadata: &[u8]| Sha256::of(&[b"3", metadata, contents].concat()).to_string().to_uppercase();
    let sums = metadata.map(sum);
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("VERSION", b"3"),
        ("CHECKSUM", sums[0].as_bytes()),
        ("metadata.config", metadata[0]),
        ("contents.tar.gz", contents),
    ];
    for _ in 0..rng.usize(0..3) {
        let extra: [(&str, &[u8]); 7] = [
            ("VERSION", b"3"),
            ("CHECKSUM", sums[1].as_bytes()),
            ("metadata.config", metadata[1]),
            ("./metadata.config", metadata[1]),
            ("x/../metadata.config", metadata[1]),
            ("METADATA.CONFIG", metadata[1]),
            ("contents.tar.gz", contents),
        ];
        parts.push(extra[rng.usize(..extra.len())]);
    }
    rng.shuffle(&mut parts);
    let mut bytes = Vec::new();
    for (name, content) in parts {
        let mut header = if rng.u8(..) < 200 { tar::Header::new_ustar() } else { tar::Header::new_gnu() };
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if rng.u8(..) < 20 {
            header.set_entry_type(tar::EntryType::new(rng.choice(*b"01257xgLKV\0").unwrap()));
        }
        if rng.u8(..) < 20 {
            let field = &mut header.as_mut_bytes()[124..136];
            field[rng.usize(..12)] = rng.choice(*b" 0\0").unwrap();
        }
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        if rng.u8(..) < 10 {
            bytes.resize(bytes.len() + 512, 0);
        }
    }
    bytes.resize(bytes.len() + [512, 1024, 1024, 1024, 0, 1536][rng.usize(..6)], 0);
    bytes
}

/// The licences in what the reference library has read, in every form in which a text may be written.
fn licences_in(metadata: &Term) -> Option<Vec<Box<str>>> {
    let text = |term: &Term| -> Option<Box<str>> {
        match term {
            Term::Binary(bytes) => std::str::from_utf8(bytes).ok().map(Into::into),
            Term::Characters(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    };
    let Term::Map(pairs) = metadata else { panic!("{metadata:?}") };
    match pairs.iter().find(|(key, _)| *key == binary("licenses")).map(|(_, value)| value) {
        None => Some(Vec::new()),
        Some(Term::Atom(atom)) if matches!(&**atom, "nil" | "undefined") => Some(Vec::new()),
        Some(value) => match (text(value), value) {
            (Some(one), _) => Some(vec![one]),
            (None, Term::List(items)) => items.iter().map(text).collect(),
            // An empty text is an empty list.
            (None, Term::Characters(_)) => Some(Vec::new()),
            (None, _) => None,
        },
    }
}

pub(crate) fn licences_that_we_read_are_those_that_the_reference_library_reads() {
    let rebar3 = program("rebar3");
    let mut rng = fastrand::Rng::with_seed(3);
    let contents = gzip(&archive(&[("mix.exs", b"x")]));
    let texts: Vec<String> = (0..6000).map(|_| nasty(&mut rng)).collect();
    let mut tarballs: Vec<Vec<u8>> = texts.iter().map(|text| pack(text.as_bytes(), &contents).0.to_vec()).collect();
    let sound: [&[u8]; 2] = [b"{<<\"licenses\">>,[<<\"MIT\">>]}.\n", b"{<<\"licenses\">>,[<<\"ISC\">>]}.\n"];
    tarballs.extend((0..6000).map(|_| shuffled(&mut rng, &sound, &contents)));
    let answers = ask(&rebar3, &[], &[], &tarballs);

    let (mut surprises, mut same, mut undecided) = (Vec::new(), 0, 0);
    for (at, (tarball, answer)) in tarballs.iter().zip(&answers.tarballs).enumerate() {
        let Theirs::Taken(answer) = answer else { continue };
        let Term::Tuple(parts) = etf::decode(answer).unwrap() else { panic!("no tuple") };
        let theirs = licences_in(&parts[2]);
        let outer = Outer::read(&mut Cursor::new(tarball), limits::DOWNLOAD);
        match outer.and_then(|outer| licences_of(&outer.metadata).map_err(|error| error.to_string())) {
            Ok(ours) if theirs.as_ref() == Some(&ours) => same += 1,
            Ok(ours) => {
                surprises.push(format!("we read {ours:?}\nthey read {theirs:?}\nof {:?} ({at})", texts.get(at)));
            }
            Err(_) => undecided += 1,
        }
    }
    eprintln!("same {same}, undecided {undecided} of {}", tarballs.len());
    assert!(surprises.is_empty(), "{} surprises\n\n{}", surprises.len(), surprises.join("\n\n"));
    assert!(same > 1000 && undecided > 100, "the texts are too wild, or too tame: {same} {undecided}");
}
