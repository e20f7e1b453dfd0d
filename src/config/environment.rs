//! Applies overrides from environment variables to the tree before its keys are read.
//!
//! The name of a variable determines the place of its value. Whether this key exists is checked later, when the tree is
//! read, so that a mistyped override is refused like a mistyped key.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::fault::Fault;
use super::problem::{Excerpt, Place, Problems, child_path};
use super::tree::{self, Entry, Node, Value};

const PREFIX: &str = "HEXKEEP_";
/// Prefix of variables for tests, which are not overrides.
const TEST_PREFIX: &str = "HEXKEEP_TEST_";
/// Separator between the levels of a path.
const SEPARATOR: &str = "__";
const REPOSITORIES: &str = "repositories";

/// The variables whose names and values are UTF-8 text. Any other variable is ignored, unless it is an override: this is
/// reported.
pub(super) fn utf8_only(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &Problems,
) -> BTreeMap<String, String> {
    let read = variables.into_iter().filter_map(|(name, value)| match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Some((name, value)),
        (name, _) => {
            let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
            if override_path(&name).is_some() {
                problems.add("", &Place::Environment(name), Fault::OverrideNotUtf8);
            }
            None
        }
    });
    read.collect()
}

/// The path in the name of a variable, if the variable is an override.
fn override_path(name: &str) -> Option<&str> {
    // A name such as `HEXKEEP__X` has a separator, too: it is a mistyped override.
    let is_override = |path: &&str| path.contains(SEPARATOR) || path.starts_with('_');
    name.strip_prefix(PREFIX).filter(|_| !name.starts_with(TEST_PREFIX)).filter(is_override)
}

/// Applies all overrides in `variables` to `root`, in the order of their names, so that a table comes before its keys.
pub(super) fn apply<'e>(root: &mut Node, variables: impl Iterator<Item = (&'e str, &'e str)>, problems: &Problems) {
    let mut overrides: Vec<(&str, &str, &str)> =
        variables.filter_map(|(name, value)| Some((name, override_path(name)?, value))).collect();
    overrides.sort_unstable();
    for (name, path, text) in overrides {
        let place = Place::Environment(name.to_owned());
        match resolve(root, path) {
            Ok(keys) => {
                if let Some(value) = value(text, &keys, &place, problems) {
                    put(root, &keys, value, &place);
                }
            }
            Err(fault) => problems.add("", &place, fault),
        }
    }
}

/// Converts the name of an override to keys.
fn resolve(root: &Node, path: &str) -> Result<Vec<String>, Fault> {
    // Only upper case, because otherwise two variables that differ only in case would override each other.
    if path.starts_with('_') || path.contains(|c: char| c.is_lowercase()) {
        return Err(Fault::OverrideName);
    }
    let path = path.to_ascii_lowercase();
    let Some(rest) = path.strip_prefix(REPOSITORIES).and_then(|rest| rest.strip_prefix(SEPARATOR)) else {
        return split(&path);
    };
    // Keys of repositories can contain `-`, which is not allowed in variables, and even `__`. So search for the longest
    // match.
    let mut found: Vec<(&str, &str)> = repository_keys(root)
        .filter_map(|key| Some((key, rest.strip_prefix(spelling(key).as_str())?)))
        .filter(|(_, below)| below.is_empty() || below.starts_with(SEPARATOR))
        .collect();
    found.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(key.len()));
    let (key, below) = *found.first().ok_or(Fault::OverrideRepository)?;
    if let Some((second, _)) = found.get(1).filter(|(second, _)| second.len() == key.len()) {
        return Err(Fault::OverrideAmbiguous { first: Excerpt::new(key), second: Excerpt::new(second) });
    }
    let mut keys = vec![REPOSITORIES.to_owned(), key.to_owned()];
    if let Some(below) = below.strip_prefix(SEPARATOR) {
        keys.extend(split(below)?);
    }
    Ok(keys)
}

fn split(path: &str) -> Result<Vec<String>, Fault> {
    let keys: Vec<String> = path.split(SEPARATOR).map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) { Err(Fault::OverrideName) } else { Ok(keys) }
}

/// The spelling of a key in the environment, in lower case.
fn spelling(key: &str) -> String {
    key.replace('-', "_").to_ascii_lowercase()
}

fn repository_keys(root: &Node) -> impl Iterator<Item = &str> {
    entries(root)
        .iter()
        .filter(|entry| entry.key == REPOSITORIES)
        .flat_map(|entry| entries(&entry.value))
        .map(|entry| entry.key.as_str())
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Table(entries) => entries,
        Value::Scalar { .. } | Value::List(_) | Value::Refused => &[],
    }
}

/// Parses the value of an override. A list, a table or a quoted text is parsed as YAML. Any other text is used as it
/// is, so that special characters need no quotes.
fn value(text: &str, keys: &[String], place: &Place, problems: &Problems) -> Option<Node> {
    let text = text.trim();
    if !text.starts_with(['[', '{', '"', '\'']) {
        let value = Value::Scalar { text: text.to_owned(), quoted: false };
        return Some(Node { value, place: place.clone() });
    }
    let inner = Problems::default();
    let node = tree::parse(text, &inner);
    let path = keys.iter().fold(String::new(), |path, key| child_path(&path, key));
    let mut refused = false;
    for problem in inner.into_vec() {
        refused = true;
        problems.add(path.as_str(), place, problem.fault);
    }
    let mut node = node.filter(|_| !refused)?;
    node.set_place(place);
    Some(node)
}

/// Stores `value` at the path `keys`, and creates missing tables. If a value on the path is not a table, nothing is
/// stored, and the value is refused later, when it is read.
fn put(node: &mut Node, keys: &[String], value: Node, place: &Place) {
    let Some((key, below)) = keys.split_first() else {
        *node = value;
        return;
    };
    if node.is_null() {
        *node = Node::empty_table(place.clone());
    }
    let Value::Table(entries) = &mut node.value else { return };
    let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        entries.push(Entry { key: key.clone(), place: place.clone(), value: Node::empty_table(place.clone()) });
        entries.len() - 1
    });
    if let Some(entry) = entries.get_mut(index) {
        put(&mut entry.value, below, value, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::Field;

    /// Applies `variables` to `text` and reads the scalar at `path`; or the problems.
    fn read(text: &str, variables: &[(&str, &str)], path: &[&'static str]) -> Result<String, String> {
        let problems = Problems::default();
        let mut root = tree::parse(text, &problems).unwrap();
        apply(&mut root, variables.iter().copied(), &problems);
        let mut found = String::new();
        let mut section = Field::root(&root, &problems).table().unwrap();
        for (index, key) in path.iter().copied().enumerate() {
            if index + 1 < path.len() {
                section = section.section(key);
            } else {
                found = section.get(key, "-", |field| field.text()).to_owned();
            }
        }
        problems.into_error("t").map_or(Ok(found), |error| Err(error.to_string()))
    }

    #[test]
    fn names_lead_to_keys() {
        let text = "server: {listen: a}\nrepositories: {my-repo: {url: a}, my: {url: a}, my_: {url: a}}\n";
        for (name, path) in [
            ("HEXKEEP_SERVER__LISTEN", &["server", "listen"][..]),
            ("HEXKEEP_LOG__LEVEL", &["log", "level"]),
            ("HEXKEEP_SERVER__TLS__CERT", &["server", "tls", "cert"]),
            ("HEXKEEP_REPOSITORIES__MY_REPO__URL", &["repositories", "my-repo", "url"]),
            ("HEXKEEP_REPOSITORIES__MY__URL", &["repositories", "my", "url"]),
            ("HEXKEEP_REPOSITORIES__MY___URL", &["repositories", "my_", "url"]),
        ] {
            assert_eq!(read(text, &[(name, "b")], path), Ok("b".to_owned()), "{name}");
        }
    }

    #[test]
    fn what_is_no_override_is_left_alone() {
        let others =
            [("HEXKEEP_CONFIG", "x"), ("HEXKEEP_TEST_A__B", "x"), ("PATH", "x"), ("MY_HEXKEEP_SERVER__LISTEN", "x")];
        assert_eq!(read("server: {listen: a}", &others, &["server", "listen"]), Ok("a".to_owned()));
    }

    #[test]
    fn what_leads_nowhere_is_refused_by_name() {
        let text = "repositories: {a-b: {}, a_b: {}}";
        for (name, value, expected) in [
            ("HEXKEEP_SERVER____LISTEN", "x", "invalid name of an override"),
            ("HEXKEEP_SERVER__", "x", "invalid name of an override"),
            ("HEXKEEP__", "x", "invalid name of an override"),
            ("HEXKEEP__X", "x", "invalid name of an override"),
            ("HEXKEEP__SERVER__LISTEN", "x", "invalid name of an override"),
            ("HEXKEEP_server__listen", "x", "invalid name of an override"),
            ("HEXKEEP_REPOSITORIES__ACME__URL", "x", "there is no repository with this key in the configuration file"),
            ("HEXKEEP_REPOSITORIES__A_B__URL", "x", "`a-b` and `a_b` have the same spelling"),
            ("HEXKEEP_SERVER__LISTEN", "[a", "server.listen: this is not valid YAML"),
            ("HEXKEEP_SERVER__LISTEN", "{a: 1, a: 2}", "server.listen: this key is already on line"),
        ] {
            let error = read(text, &[(name, value)], &["server", "listen"]).unwrap_err();
            let start = format!("environment variable {name}: {expected}");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn an_override_is_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let read = |name: &[u8], value: &[u8]| {
            let problems = Problems::default();
            let variable = (OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec()));
            let variables = utf8_only([variable], &problems);
            problems.into_error("t").map_or(Ok(variables), |error| Err(error.to_string()))
        };
        for (name, value, named) in [
            (&b"HEXKEEP_STORAGE__PATH"[..], &b"/tmp/\xff"[..], "HEXKEEP_STORAGE__PATH"),
            (b"HEXKEEP_STORAGE__\xff", b"x", "HEXKEEP_STORAGE__\u{fffd}"),
        ] {
            let expected =
                format!("environment variable {named}: the name and the value of an override must be UTF-8 text");
            let error = read(name, value).unwrap_err();
            assert!(error.starts_with(&expected), "{error}");
        }
        assert_eq!(read(b"OTHER", b"\xff"), Ok(BTreeMap::new()));
        assert_eq!(read(b"A", b"b"), Ok(BTreeMap::from([("A".to_owned(), "b".to_owned())])));
    }

    #[test]
    fn values_stand_for_themselves_unless_they_begin_like_yaml() {
        for (value, expected) in [
            ("*", Ok("*")),
            (" a: b # c ", Ok("a: b # c")),
            ("'quoted # text'", Ok("quoted # text")),
            ("", Err("the key has no value")),
            ("null", Err("the key has no value")),
            ("[a]", Err("expected a single value")),
        ] {
            match (read("{}", &[("HEXKEEP_S__K", value)], &["s", "k"]), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{value}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_table_comes_before_its_keys() {
        let variables = [("HEXKEEP_S__T__K", "inner"), ("HEXKEEP_S__T", "{k: outer, l: outer}")];
        assert_eq!(read("{}", &variables, &["s", "t", "k"]), Ok("inner".to_owned()));
        assert_eq!(read("{}", &variables, &["s", "t", "l"]), Ok("outer".to_owned()));
        assert!(read("s: 5", &variables, &["s", "t", "l"]).unwrap_err().contains("expected a table"));
    }
}
