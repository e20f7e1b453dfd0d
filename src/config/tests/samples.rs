//! Every sample in `config/` and every YAML block of the reference loads, and the commented default is the default.

use std::fs;

use super::*;
use crate::trust::PublicKey;

const DEFAULT: &str = include_str!("../../../config/hexkeep.yaml");
const REFERENCE: &str = include_str!("../../../docs/CONFIGURATION.md");

/// Every file that a sample refers to. Only the content of public keys is read with the configuration.
fn with_files(text: &str) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tls/chain.pem", "tls/key.pem", "keys/2025.pem", "secrets/hexpm-organization-key"] {
        write(folder.path(), name, "stands-in");
    }
    write(folder.path(), "internal.pem", PublicKey::hexpm().to_spki_pem());
    let other = crate::trust::PrivateKey::from_pem(include_str!("../../trust/testdata/test-only-key.pem")).unwrap();
    write(folder.path(), "internal-next.pem", other.public().to_spki_pem());
    let source = Source::Text { text: text.to_owned(), base_dir: folder.path().to_owned(), name: "sample".into() };
    load(source, environment(&[("ACME_KEY", "abc")]), Path::new(BASE))
}

#[test]
fn the_commented_default_is_the_default() {
    let written = settings(DEFAULT);
    assert_eq!(written, settings("{}"));
    assert_eq!(written, settings(""));
    assert_eq!(written, load(Source::Defaults, [], Path::new(BASE)).unwrap().settings);
    assert_eq!(written.storage.path, Path::new("/base/hexkeep-data"));
}

#[test]
fn the_commented_default_says_every_key() {
    // What is printed has every key.
    let shown = crate::config::show(&settings("{}")).unwrap();
    for key in keys(&shown) {
        assert!(keys(DEFAULT).any(|written| written == key), "the sample does not write `{key}`");
    }
}

/// The keys of `yaml`, each on a line of its own, without their depth.
fn keys(yaml: &str) -> impl Iterator<Item = &str> {
    yaml.lines().map(|line| line.trim_start_matches([' ', '-'])).filter_map(|line| Some(line.split_once(':')?.0))
}

#[test]
fn the_reference_names_every_key() {
    let shown = crate::config::show(&settings("{}")).unwrap();
    for key in keys(&shown).filter(|key| *key != "hexpm") {
        assert!(REFERENCE.contains(&format!("`{key}`")), "the reference does not explain `{key}`");
    }
}

#[test]
fn every_sample_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let found = with_files(&text).unwrap_or_else(|error| panic!("{}\n{error}", path.display()));
        assert_eq!(found.advice, Vec::<String>::new(), "{}", path.display());
        loaded += 1;
    }
    assert!(loaded >= 3, "{loaded}");
}

#[test]
fn every_block_of_the_reference_loads() {
    let mut loaded = 0;
    for (index, block) in REFERENCE.split("```").enumerate().filter(|(index, _)| index % 2 == 1) {
        let Some(text) = block.strip_prefix("yaml\n") else { continue };
        with_files(text).unwrap_or_else(|error| panic!("block {index}\n{error}\n{text}"));
        loaded += 1;
    }
    assert!(loaded >= 5, "{loaded}");
}
