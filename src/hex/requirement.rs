//! Version requirements, as Elixir's `Version` reads them. May import `hex::version`.

use std::str::FromStr;

use super::limits;
use super::version::ReleaseVersion;

/// A requirement: comparisons joined with `and` and `or`, kept as it was written.
///
/// `== >= > <= < ~>` or none of them (which is `==`), each before a version; `~>` also takes a version of two numbers.
/// `!=` is refused: resolvers cannot use it. No parentheses, no commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement(Box<str>);

/// The text is no requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid requirement: \"{0}\"")]
pub struct RequirementError(Box<str>);

impl Requirement {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let fault = || RequirementError(text.chars().take(limits::EXCERPT).collect());
        if text.len() > limits::REQUIREMENT {
            return Err(fault());
        }
        let spaced = spaced(text).ok_or_else(fault)?;
        // Elixir knows no other white space here, and breaks on a requirement that has some.
        let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
        let mut rest = words.as_slice();
        loop {
            rest = comparison(rest).ok_or_else(fault)?;
            match rest {
                [] => return Ok(Self(text.into())),
                ["and" | "or", more @ ..] => rest = more,
                _ => return Err(fault()),
            }
        }
    }
}

/// Operators may touch their version, `>=1.0.0`, but not what is in front of them: `and<2.0.0` is nothing.
fn spaced(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut in_operator = false;
    for character in text.chars() {
        let is_operator = matches!(character, '=' | '>' | '<' | '~' | '!');
        if is_operator && !in_operator && !(out.is_empty() || out.ends_with(' ')) {
            return None;
        }
        if in_operator && !is_operator {
            out.push(' ');
        }
        in_operator = is_operator;
        out.push(character);
    }
    Some(out)
}

/// Reads one comparison and gives back what follows.
fn comparison<'a, 't>(words: &'a [&'t str]) -> Option<&'a [&'t str]> {
    let is_version = |text: &str| text.parse::<ReleaseVersion>().is_ok();
    match words {
        ["~>", version, rest @ ..] => (is_version(version) || is_version(&completed(version)?)).then_some(rest),
        ["==" | ">=" | ">" | "<=" | "<", version, rest @ ..] => is_version(version).then_some(rest),
        [version, rest @ ..] => is_version(version).then_some(rest),
        [] => None,
    }
}

/// `1.0` and `1.0-rc` with a third number.
fn completed(version: &str) -> Option<String> {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, more) = version.split_at_checked(end)?;
    (numbers.matches('.').count() == 1).then(|| format!("{numbers}.0{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_elixir_reads() {
        for text in [
            "~> 1.0",
            "~> 1.0.0",
            ">= 0.0.0",
            "1.0.0",
            "== 1.0.0",
            ">=1.0.0 and <2.0.0",
            "~> 1.0 or ~> 2.0",
            " ~> 1.0-rc.1 ",
            "> 1.0.0-alpha",
            "~>1.2.3",
            " 1.0.0 ",
            "~> 1.0+b  or   ~> 2.0",
        ] {
            assert_eq!(text.parse::<Requirement>().map(|read| read.as_str().to_owned()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "~> 1",
            ">= 1.0",
            "!= 1.0.0",
            "! 1.0.0",
            "1.0",
            "(~> 1.0)",
            "~> 1.0, < 2.0.0",
            "and",
            "~> 1.0 and",
            "1.0.0 1.0.0",
            "=> 1.0.0",
            "~> 1.0.0.0",
            "~> 01.0",
            "latest",
            "~> 1.0\n",
            "~>\t1.0",
            ">=1.0.0 and<2.0.0",
            "> =1.0.0",
            "1.0.0 or and 1.0.0",
            ">= 1.0.0 <2.0.0",
            "~> 1.0 AND ~> 2.0",
            "~>\u{a0}1.0",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }
}
