//! Reads the tree: opens tables, reads keys, and refuses keys that were not read.
//!
//! A reader does not stop at a problem: it reports it and returns `None` or the default, so that one run finds all
//! problems.

use super::fault::Fault;
use super::problem::{Excerpt, Place, Problems, child_path};
use super::tree::{Entry, Node, Value};

/// A value with its path. The readers in `config::read` convert it to a type.
#[derive(Clone, Debug)]
pub(super) struct Field<'t> {
    pub(super) path: String,
    pub(super) node: &'t Node,
    /// Place of the key, or of the value itself in a list.
    place: &'t Place,
    pub(super) problems: &'t Problems,
}

impl<'t> Field<'t> {
    /// The whole document.
    pub(super) fn root(node: &'t Node, problems: &'t Problems) -> Self {
        Self { path: String::new(), node, place: &node.place, problems }
    }

    /// Reports `fault` at the value.
    pub(super) fn fault(&self, fault: Fault) {
        // The parser reports the next token as the place of an empty value.
        let place = if self.node.is_null() { self.place } else { &self.node.place };
        self.problems.add(self.path.as_str(), place, fault);
    }

    /// Reports `fault` at the key.
    pub(super) fn fault_at_key(&self, fault: Fault) {
        self.problems.add(self.path.as_str(), self.place, fault);
    }

    /// Returns the value, or reports the fault.
    pub(super) fn check<T>(&self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.fault(fault)).ok()
    }

    /// A scalar that is not null, quoted or not. An empty text in quotes counts as no value, too.
    pub(super) fn text(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::Scalar { text, .. } if text.is_empty() || self.node.is_null() => self.fault(Fault::NoValue),
            Value::Scalar { text, .. } => return Some(text),
            Value::List(_) | Value::Table(_) => self.fault(Fault::ExpectedText),
            Value::Refused => {}
        }
        None
    }

    /// A scalar that is neither null nor quoted: a number or a boolean.
    pub(super) fn plain(&self) -> Option<&'t str> {
        let text = self.text()?;
        match &self.node.value {
            Value::Scalar { quoted: true, .. } => {
                self.fault(Fault::Quoted);
                None
            }
            Value::Scalar { .. } | Value::List(_) | Value::Table(_) | Value::Refused => Some(text),
        }
    }

    /// Reads the items of a list with `read`. Items with problems are reported and left out.
    pub(super) fn list<T>(&self, mut read: impl FnMut(&Field<'t>) -> Option<T>) -> Option<Vec<T>> {
        match &self.node.value {
            Value::List(items) => {
                let field = |(index, node): (usize, &'t Node)| Field {
                    path: format!("{}[{index}]", self.path),
                    node,
                    place: &node.place,
                    problems: self.problems,
                };
                return Some(items.iter().enumerate().filter_map(|item| read(&field(item))).collect());
            }
            Value::Scalar { .. } | Value::Table(_) => self.fault(Fault::ExpectedList),
            Value::Refused => {}
        }
        None
    }

    /// Whether the value is an empty list.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// The keys and values of a table; null counts as an empty table.
    pub(super) fn entries(&self) -> Option<&'t [Entry]> {
        match &self.node.value {
            Value::Table(entries) => return Some(entries),
            Value::Scalar { .. } if self.node.is_null() => return Some(&[]),
            Value::Scalar { .. } | Value::List(_) => self.fault(Fault::ExpectedTable),
            Value::Refused => {}
        }
        None
    }

    /// Opens a table.
    pub(super) fn table(&self) -> Option<Section<'t>> {
        self.entries().map(|entries| Section {
            path: self.path.clone(),
            place: self.place,
            entries,
            asked: Vec::new(),
            problems: self.problems,
        })
    }

    /// The value of `entry`, an entry of this table.
    pub(super) fn child(&self, entry: &'t Entry) -> Field<'t> {
        Field {
            path: child_path(&self.path, &entry.key),
            node: &entry.value,
            place: &entry.place,
            problems: self.problems,
        }
    }
}

/// A table that is being read. [`Section::finish`] refuses keys that were not read.
#[derive(Debug)]
pub(super) struct Section<'t> {
    pub(super) path: String,
    place: &'t Place,
    entries: &'t [Entry],
    asked: Vec<&'static str>,
    problems: &'t Problems,
}

impl<'t> Section<'t> {
    /// Opens the table in `field`. If it is not a table, reports this and returns an empty table.
    pub(super) fn of(field: &Field<'t>) -> Self {
        let entries = field.entries().unwrap_or_default();
        Self { path: field.path.clone(), place: field.place, entries, asked: Vec::new(), problems: field.problems }
    }

    /// The value of `key`, if the key exists.
    pub(super) fn field(&mut self, key: &'static str) -> Option<Field<'t>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field {
            path: child_path(&self.path, key),
            node: &entry.value,
            place: &entry.place,
            problems: self.problems,
        })
    }

    /// The value of `key`; `default` if the key is missing, or has a problem that was reported.
    pub(super) fn get<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Field<'t>) -> Option<T>) -> T {
        self.field(key).and_then(|field| read(&field)).unwrap_or(default)
    }

    /// The value of `key`; `None` if the key is missing or null.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Field<'t>) -> Option<T>) -> Option<T> {
        self.field(key).filter(|field| !field.node.is_null()).and_then(|field| read(&field))
    }

    /// The value of `key`; reports `missing` if the key does not exist.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        missing: Fault,
        read: impl FnOnce(&Field<'t>) -> Option<T>,
    ) -> Option<T> {
        let Some(field) = self.field(key) else {
            self.problems.add(child_path(&self.path, key), self.place, missing);
            return None;
        };
        read(&field)
    }

    /// The table under `key`; an empty table if the key is missing.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'t> {
        match self.field(key) {
            Some(field) => Section::of(&field),
            None => Section {
                path: child_path(&self.path, key),
                place: self.place,
                entries: &[],
                asked: Vec::new(),
                problems: self.problems,
            },
        }
    }

    /// Reports `fault` for `key`, at the place of its value, or of the table if the key does not exist.
    pub(super) fn fault(&self, key: &str, fault: Fault) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let place = entry.map_or(self.place, |entry| &entry.value.place);
        self.problems.add(child_path(&self.path, key), place, fault);
    }

    /// Reports `fault` for `key`, which then counts as read.
    pub(super) fn refuse(&mut self, key: &'static str, fault: Fault) {
        self.asked.push(key);
        self.fault(key, fault);
    }

    /// Whether `key` exists, with any value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        // A key that was read twice is suggested only once.
        let mut known: Vec<&'static str> = Vec::new();
        for key in &self.asked {
            if !known.contains(key) {
                known.push(key);
            }
        }
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) {
                continue;
            }
            let guess = known.iter().map(|known| (distance(key, known), *known)).min();
            let guess = guess.filter(|(distance, known)| *distance <= tolerance(known)).map(|(_, known)| known);
            let fault = Fault::UnknownKey { guess, known: known.clone() };
            self.problems.add(child_path(&self.path, key), &entry.place, fault);
        }
    }
}

/// Maximum number of typing errors at which `known` is suggested.
fn tolerance(known: &str) -> usize {
    (known.len() / 3).clamp(1, 3)
}

/// Number of edits (insert, delete, replace, swap neighbours) that convert `a` to `b`. Case, `-` and `_` are ignored.
fn distance(a: &str, b: &str) -> usize {
    // Keys are short. A longer text is not a typing error.
    const LONGEST: usize = 64;
    let fold = |text: &str| -> Vec<char> {
        text.chars().take(LONGEST).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(ca != cb)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

/// Formats a list of names for a sentence.
pub(super) fn enumerate<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| Excerpt::new(name).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree;

    #[test]
    fn distances_are_edits() {
        for (a, b, expected) in [
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("litsen", "listen", 1),
            ("Listen", "listen", 0),
            ("ops-listen", "ops_listen", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_refused_with_a_guess() {
        let problems = Problems::default();
        let tree = tree::parse("lisen: 1\nnonsense: 2\nlisten: 4\n", &problems).unwrap();
        let mut section = Field::root(&tree, &problems).table().unwrap();
        assert_eq!(section.get("listen", "", |field| field.text()), "4");
        section.finish();
        let text = problems.into_error("t").unwrap().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            ["t:1:1: lisen: unknown key; did you mean `listen`?", "t:2:1: nonsense: unknown key; use one of `listen`",]
        );
    }

    #[test]
    fn wrong_kinds_are_reported_once_and_defaults_stand_in() {
        let problems = Problems::default();
        let tree = tree::parse("a: [1]\nb: 5\nc: {}\nd:\ne: '5'\nf:\n", &problems).unwrap();
        let mut section = Field::root(&tree, &problems).table().unwrap();
        assert_eq!(section.get("a", "default", |field| field.text()), "default");
        section.section("b").finish();
        assert_eq!(section.get("c", vec!["x"], |field| field.list(|item| item.text())), ["x"]);
        assert_eq!(section.get("d", "default", |field| field.text()), "default");
        assert_eq!(section.get("e", "default", |field| field.plain()), "default");
        section.section("f").finish();
        assert_eq!(section.require("g", Fault::MissingKeyId, |field| field.text()), None);
        let text = problems.into_error("t").unwrap().to_string();
        let paths: Vec<&str> = text.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
        assert_eq!(paths, ["g", "a", "b", "c", "d", "e"], "{text}");
    }
}
