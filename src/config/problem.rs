//! Problems of a configuration with their places, and the format in which they are printed.

use std::cell::RefCell;
use std::fmt;

use super::fault::Fault;
use crate::display_text::within_a_line;

/// The place of a value. Problems are printed in the order of this type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The document as a whole.
    Document,
    /// A position in the text. Line and column are counted from 1.
    Text {
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
}

/// One problem of a configuration.
#[derive(Debug)]
pub struct Problem {
    /// The YAML path, such as `repositories.hexpm.metadata_ttl`; empty for the document itself.
    pub path: String,
    /// Place of the value.
    pub place: Place,
    /// The problem with the value.
    pub fault: Fault,
}

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds a problem.
    pub(super) fn add(&self, path: impl Into<String>, place: &Place, fault: Fault) {
        self.0.borrow_mut().push(Problem { path: path.into(), place: place.clone(), fault });
    }

    /// All problems in the order in which they were found.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }

    /// The error with all problems, or `None` if there are none.
    pub(super) fn into_error(self, source_name: &str) -> Option<ConfigError> {
        let mut problems = self.into_vec();
        problems.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
        (!problems.is_empty()).then(|| ConfigError { source_name: source_name.to_owned(), problems })
    }
}

/// An invalid configuration, with all its problems.
#[derive(Debug)]
pub struct ConfigError {
    /// Name of the source: the file name as given, or `built-in defaults`.
    pub source_name: String,
    /// At least one problem, in the order of their places.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    /// Writes one line for each problem: `FILE:LINE:COLUMN: PATH: SENTENCE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match &problem.place {
                Place::Document => write!(f, "{}: ", self.source_name)?,
                Place::Text { line, column } => write!(f, "{}:{line}:{column}: ", self.source_name)?,
                Place::Environment(name) => write!(f, "environment variable {name}: ")?,
            }
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            problem.fault.fmt(f)?;
        }
        Ok(())
    }
}

/// The path of `key` below `path`. A key with special characters is quoted.
pub(super) fn child_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if plain { Excerpt::new(key).0 } else { Excerpt::new(key).to_string() };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A text from the configuration for a message: shortened, with special characters escaped, and in backquotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Maximum length in characters: enough for any valid value that is quoted in messages.
    const MAX_CHARS: usize = 80;

    /// Creates an excerpt from the beginning of `text`.
    pub(super) fn new(text: &str) -> Self {
        let mut short: String = text.chars().take(Self::MAX_CHARS).flat_map(within_a_line).collect();
        if text.chars().nth(Self::MAX_CHARS).is_some() {
            short.push('…');
        }
        Self(short)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_fit_one_line() {
        assert_eq!(Excerpt::new("plain ü").to_string(), "`plain ü`");
        assert_eq!(Excerpt::new("a\nb\u{1b}").to_string(), "`a\\nb\\u{1b}`");
        assert_eq!(Excerpt::new("a\u{202e}b\u{9b}").to_string(), "`a\\u{202e}b\\u{9b}`");
        let long = "x".repeat(1000);
        assert_eq!(Excerpt::new(&long).to_string().chars().count(), Excerpt::MAX_CHARS + 3);
    }

    #[test]
    fn paths_quote_odd_keys() {
        assert_eq!(child_path("", "server"), "server");
        assert_eq!(child_path("repositories", "my-repo"), "repositories.my-repo");
        assert_eq!(child_path("repositories", "a b\n"), "repositories.`a b\\n`");
        assert_eq!(child_path("server", ""), "server.``");
    }

    #[test]
    fn problems_are_sorted_and_one_a_line() {
        let problems = Problems::default();
        problems.add("a", &Place::Environment("HEXKEEP_A__B".into()), Fault::NoValue);
        problems.add("server.b", &Place::Text { line: 9, column: 1 }, Fault::NoValue);
        problems.add("server.a", &Place::Text { line: 2, column: 14 }, Fault::MergeKey);
        problems.add("", &Place::Document, Fault::TooManyNodes { max: 3 });
        let text = problems.into_error("x.yaml").unwrap().to_string();
        assert_eq!(text.lines().count(), 4, "{text}");
        let starts = [
            "x.yaml: the",
            "x.yaml:2:14: server.a: ",
            "x.yaml:9:1: server.b: ",
            "environment variable HEXKEEP_A__B: a: ",
        ];
        for (line, start) in text.lines().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(Problems::default().into_error("").is_none());
    }
}
