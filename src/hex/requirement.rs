//! Version requirements, with the syntax and the meaning of Elixir's `Version` module.

use std::cmp::Ordering;
use std::str::FromStr;

use super::limits;
use super::version::ReleaseVersion;

/// A version requirement: comparisons joined with `and` and `or`. Prints as it was written.
///
/// The operators are `== >= > <= < ~>`; no operator means `==`. `~>` also accepts a version of two numbers. There are
/// no parentheses and no commas. `FromStr` rejects `!=`, which resolvers cannot use; [`Self::with_unequal`] accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    text: Box<str>,
    /// The alternatives joined with `or`; each is a list of comparisons joined with `and`.
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Above,
    AtLeast,
    Below,
    AtMost,
    /// `~>` before three numbers: at least this, and the same major and minor number.
    SameMinor,
    /// `~>` before two numbers: at least this, and the same major number.
    SameMajor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: ReleaseVersion,
}

/// The text is not a valid requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid requirement: \"{0}\"")]
pub struct RequirementError(Box<str>);

impl Requirement {
    /// Parses a requirement that may contain `!=`, as in Elixir and in overrides of policies.
    pub fn with_unequal(text: &str) -> Result<Self, RequirementError> {
        Self::read(text).ok_or_else(|| fault(text))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a version satisfies it, as `Version.match?/2` with `allow_pre: true`: pre-releases are treated like
    /// other versions, and build metadata is ignored. `and` binds more tightly than `or`.
    pub fn matches(&self, version: &ReleaseVersion) -> bool {
        let holds = |comparisons: &Vec<Comparison>| comparisons.iter().all(|comparison| comparison.matches(version));
        self.alternatives.iter().any(holds)
    }

    /// Whether any version satisfies it.
    pub fn can_match(&self) -> bool {
        // The set of matching versions begins at the lowest version, at a version in the requirement, or directly above
        // one.
        let lowest = "0.0.0-0".parse().ok();
        let named = self
            .comparisons()
            .flat_map(|comparison| [Some(comparison.version.clone()), comparison.version.successor()]);
        lowest.into_iter().chain(named.flatten()).any(|version| self.matches(&version))
    }

    fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.alternatives.iter().flatten()
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > limits::REQUIREMENT {
            return None;
        }
        let spaced = spaced(text)?;
        // Elixir accepts no other white space here, and crashes on a requirement that contains it.
        let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
        let mut alternatives = Vec::new();
        let mut together = Vec::new();
        let mut words = words.as_slice();
        loop {
            let (next, more) = comparison(words)?;
            together.push(next);
            words = match more {
                [] => {
                    alternatives.push(together);
                    return Some(Self { text: text.into(), alternatives });
                }
                ["and", more @ ..] => more,
                ["or", more @ ..] => {
                    alternatives.push(std::mem::take(&mut together));
                    more
                }
                _ => return None,
            };
        }
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let usable = |read: &Self| read.comparisons().all(|comparison| comparison.operator != Operator::Unequal);
        Self::read(text).filter(usable).ok_or_else(|| fault(text))
    }
}

impl Comparison {
    fn matches(&self, version: &ReleaseVersion) -> bool {
        let order = version.cmp_precedence(&self.version);
        let ([major, minor, _], [its_major, its_minor, _]) = (version.numbers(), self.version.numbers());
        match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::Unequal => order != Ordering::Equal,
            Operator::Above => order == Ordering::Greater,
            Operator::AtLeast => order != Ordering::Less,
            Operator::Below => order == Ordering::Less,
            Operator::AtMost => order != Ordering::Greater,
            Operator::SameMinor => order != Ordering::Less && major == its_major && minor == its_minor,
            Operator::SameMajor => order != Ordering::Less && major == its_major,
        }
    }
}

fn fault(text: &str) -> RequirementError {
    RequirementError(text.chars().take(limits::EXCERPT).collect())
}

/// Separates operators from versions. There may be no space after an operator, as in `>=1.0.0`, but there must be one
/// before it: `and<2.0.0` is invalid.
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

/// Parses one comparison. Returns it with the remaining words.
fn comparison<'a, 't>(words: &'a [&'t str]) -> Option<(Comparison, &'a [&'t str])> {
    let (operator, version, rest) = match words {
        ["~>", version, rest @ ..] => {
            let (operator, version) = match version.parse() {
                Ok(version) => (Operator::SameMinor, version),
                Err(_) => (Operator::SameMajor, completed(version)?.parse().ok()?),
            };
            return Some((Comparison { operator, version }, rest));
        }
        ["==", version, rest @ ..] => (Operator::Equal, version, rest),
        ["!=", version, rest @ ..] => (Operator::Unequal, version, rest),
        [">=", version, rest @ ..] => (Operator::AtLeast, version, rest),
        [">", version, rest @ ..] => (Operator::Above, version, rest),
        ["<=", version, rest @ ..] => (Operator::AtMost, version, rest),
        ["<", version, rest @ ..] => (Operator::Below, version, rest),
        [version, rest @ ..] => (Operator::Equal, version, rest),
        [] => return None,
    };
    Some((Comparison { operator, version: version.parse().ok()? }, rest))
}

/// Adds a third number to `1.0` and `1.0-rc`.
fn completed(version: &str) -> Option<String> {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, more) = version.split_at_checked(end)?;
    (numbers.matches('.').count() == 1).then(|| format!("{numbers}.0{more}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex::strategies;

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

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    #[test]
    fn what_satisfies_what() {
        // The results are those of `Version.match?/2` in Elixir 1.14. `tests/clients` compares many more with the real
        // function.
        for (requirement, satisfied, not) in [
            (
                "~> 2.0",
                &["2.0.0", "2.9.9", "2.1.0-rc.1", "2.0.0+b"][..],
                &["1.9.9", "3.0.0", "3.0.0-dev", "2.0.0-rc"][..],
            ),
            ("~> 2.1.2", &["2.1.2", "2.1.9", "2.1.3-dev"], &["2.1.1", "2.2.0", "2.2.0-dev", "2.1.2-dev"]),
            ("~> 2.0-rc.1", &["2.0.0-rc.1", "2.0.0-rc.2", "2.5.0"], &["2.0.0-rc.0", "3.0.0-rc.1"]),
            ("> 1.0.0", &["1.0.1", "1.1.0-dev", "2.0.0-0"], &["1.0.0", "1.0.0+b", "1.0.0-rc"]),
            ("!= 1.0.0", &["1.0.1", "1.0.0-rc"], &["1.0.0", "1.0.0+build"]),
            ("1.0.0", &["1.0.0", "1.0.0+x"], &["1.0.1", "1.0.0-a"]),
            (">= 1.0.0 and < 2.0.0", &["1.0.0", "1.9.9", "2.0.0-rc"], &["0.9.9", "2.0.0"]),
            ("~> 1.0 or ~> 3.0", &["1.2.0", "3.2.0"], &["2.0.0", "4.0.0"]),
            ("< 1.0.0 and > 0.5.0 or == 9.0.0", &["0.6.0", "9.0.0"], &["0.4.0"]),
            ("< 1.0.0 or == 9.0.0 and > 10.0.0", &["0.5.0"], &["9.0.0"]),
            ("== 9.0.0 or < 1.0.0 and > 0.5.0", &["9.0.0", "0.6.0"], &["0.4.0"]),
        ] {
            let requirement = Requirement::with_unequal(requirement).unwrap();
            for text in satisfied {
                assert!(requirement.matches(&version(text)), "{} {text}", requirement.as_str());
            }
            for text in not {
                assert!(!requirement.matches(&version(text)), "{} {text}", requirement.as_str());
            }
        }
    }

    #[test]
    fn what_nothing_satisfies_is_known() {
        for text in
            ["> 2.0.0 and < 1.0.0", "== 1.0.0 and != 1.0.0", "< 0.0.0-0", "~> 1.0 and ~> 2.0", "~> 1.2.0 and < 1.2.0"]
        {
            assert!(!Requirement::with_unequal(text).unwrap().can_match(), "{text}");
        }
        for text in
            ["> 1.0.0 and < 1.0.1", "< 0.0.1", "!= 1.0.0", "> 1.0.0-a and < 1.0.0-b", "~> 1.0 or ~> 2.0", "<= 0.0.0-0"]
        {
            assert!(Requirement::with_unequal(text).unwrap().can_match(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn comparisons_agree_with_the_order_of_versions(left in strategies::version(), right in strategies::version()) {
            let order = left.cmp_precedence(&right);
            let says = |operator: &str| Requirement::with_unequal(&format!("{operator} {right}")).unwrap().matches(&left);
            prop_assert_eq!(says("=="), order.is_eq());
            prop_assert_eq!(says("!="), order.is_ne());
            prop_assert_eq!(says(">"), order.is_gt());
            prop_assert_eq!(says(">="), order.is_ge());
            prop_assert_eq!(says("<"), order.is_lt());
            prop_assert_eq!(says("<="), order.is_le());
            prop_assert!(!says("~>") || says(">="));
        }

        #[test]
        fn what_follows_a_version_leaves_no_room(version in strategies::version(), other in strategies::version()) {
            if let Some(next) = version.successor() {
                prop_assert!(next.cmp_precedence(&version).is_gt());
                prop_assert!(other.cmp_precedence(&version).is_le() || other.cmp_precedence(&next).is_ge());
            }
        }

        #[test]
        fn what_a_version_satisfies_can_be_satisfied(
            parts in prop::collection::vec((0_usize..7, strategies::version(), any::<bool>()), 1..4),
            version in strategies::version(),
        ) {
            let operators = ["==", "!=", ">", ">=", "<", "<=", "~>"];
            let mut text = String::new();
            for (operator, version, and) in &parts {
                if !text.is_empty() {
                    text.push_str(if *and { " and " } else { " or " });
                }
                text.push_str(&format!("{} {version}", operators[*operator]));
            }
            let requirement = Requirement::with_unequal(&text).unwrap();
            prop_assert!(!requirement.matches(&version) || requirement.can_match(), "{}", text);
        }
    }
}
