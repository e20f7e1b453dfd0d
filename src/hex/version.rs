//! Versions of releases, by Semantic Versioning.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::limits;

/// A version by [Semantic Versioning 2](https://semver.org/spec/v2.0.0.html): three numbers, an optional pre-release,
/// and optional build metadata.
///
/// Keeps the original text and prints it unchanged. Ordered by precedence. Versions that differ only in the build
/// metadata have the same precedence, and are ordered by its text, so that order and equality agree. Equality and hash
/// are those of the text. It deliberately does not implement `Borrow<str>`, because its order is not that of the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReleaseVersion(Arc<str>);

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Longer than [`limits::VERSION`].
    #[error("a version can have at most {max} characters, but this one has {length}")]
    TooLong { length: usize, max: usize },
    /// Not three numbers separated by dots, or a number with leading zeros or beyond 64 bits.
    #[error("{0:?} is not a version: expected three numbers without leading zeros, separated by dots")]
    Numbers(Box<str>),
    /// An empty identifier, an invalid character, or a numeric identifier with a leading zero after the hyphen.
    #[error("{0:?} is not a version: expected identifiers of letters, digits and hyphens after the hyphen")]
    PreRelease(Box<str>),
    /// An empty identifier or an invalid character after the plus sign.
    #[error("{0:?} is not a version: expected identifiers of letters, digits and hyphens after the plus sign")]
    Build(Box<str>),
}

/// The parts of a version's text.
struct Parts<'a> {
    numbers: [u64; 3],
    pre: Option<&'a str>,
    build: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits the text without checking the identifiers; `None` if the numbers are invalid.
    fn split(text: &'a str) -> Option<Self> {
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (core, pre) = match rest.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (rest, None),
        };
        let mut numbers = [0; 3];
        let mut texts = core.split('.');
        for number in &mut numbers {
            *number = read_number(texts.next()?)?;
        }
        texts.next().is_none().then_some(Self { numbers, pre, build })
    }
}

fn read_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    // `parse` rejects the empty text and numbers that overflow.
    if plain { text.parse().ok() } else { None }
}

fn is_numeric(identifier: &str) -> bool {
    identifier.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifier(identifier: &str) -> bool {
    !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_pre_identifier(identifier: &str) -> bool {
    is_identifier(identifier) && (identifier == "0" || !identifier.starts_with('0') || !is_numeric(identifier))
}

impl ReleaseVersion {
    /// The original text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has a pre-release part.
    pub fn is_pre_release(&self) -> bool {
        Parts::split(&self.0).is_some_and(|parts| parts.pre.is_some())
    }

    /// Major, minor and patch number.
    pub fn numbers(&self) -> [u64; 3] {
        // A parsed version always splits.
        Parts::split(&self.0).map(|parts| parts.numbers).unwrap_or_default()
    }

    /// Compares by precedence only: versions that differ in the build metadata are equal.
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        match (Parts::split(&self.0), Parts::split(&other.0)) {
            (Some(left), Some(right)) => {
                left.numbers.cmp(&right.numbers).then_with(|| compare_pre(left.pre, right.pre))
            }
            _ => Ordering::Equal,
        }
    }

    /// The lowest version above this one in the order of precedence; `None` if the patch number would overflow.
    pub fn successor(&self) -> Option<Self> {
        let parts = Parts::split(&self.0)?;
        let [major, minor, patch] = parts.numbers;
        let text = match parts.pre {
            Some(pre) => format!("{major}.{minor}.{patch}-{pre}.0"),
            None => format!("{major}.{minor}.{}-0", patch.checked_add(1)?),
        };
        Some(Self(Arc::from(text)))
    }
}

impl FromStr for ReleaseVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.len() > limits::VERSION {
            return Err(VersionError::TooLong { length: text.len(), max: limits::VERSION });
        }
        let parts = Parts::split(text).ok_or_else(|| VersionError::Numbers(text.into()))?;
        if !parts.pre.is_none_or(|pre| pre.split('.').all(is_pre_identifier)) {
            return Err(VersionError::PreRelease(text.into()));
        }
        if !parts.build.is_none_or(|build| build.split('.').all(is_identifier)) {
            return Err(VersionError::Build(text.into()));
        }
        Ok(Self(Arc::from(text)))
    }
}

/// The text of a version without its build metadata: versions of equal precedence have the same.
pub fn without_build(text: &str) -> &str {
    text.split_once('+').map_or(text, |(precedence, _)| precedence)
}

/// A sort key for texts of versions, in ascending order. Texts that are not versions sort before all versions.
pub fn order(text: &str) -> impl Ord + use<> {
    (text.parse::<ReleaseVersion>().ok(), Box::<str>::from(text))
}

/// Compares pre-releases by precedence: no pre-release is above any, numbers are below words, and fewer identifiers are
/// below more.
fn compare_pre(left: Option<&str>, right: Option<&str>) -> Ordering {
    let (left, right) = match (left, right) {
        (None, None) => return Ordering::Equal,
        (None, Some(_)) => return Ordering::Greater,
        (Some(_), None) => return Ordering::Less,
        (Some(left), Some(right)) => (left, right),
    };
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let (left, right) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => (left, right),
        };
        let order = match (is_numeric(left), is_numeric(right)) {
            // Without leading zeros, the longer number is the larger one. Numbers of any size can be compared.
            (true, true) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        match (Parts::split(&self.0), Parts::split(&other.0)) {
            (Some(left), Some(right)) => left
                .numbers
                .cmp(&right.numbers)
                .then_with(|| compare_pre(left.pre, right.pre))
                .then_with(|| left.build.cmp(&right.build)),
            // Parsed versions always split.
            _ => self.0.cmp(&other.0),
        }
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<str> for ReleaseVersion {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ReleaseVersion {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex::strategies;

    #[test]
    fn the_order_of_the_specification() {
        let ordered = [
            "0.9.0",
            "1.0.0-0a",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0+a",
            "1.0.0+b",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        let mut versions: Vec<ReleaseVersion> = ordered.iter().rev().map(|text| text.parse().unwrap()).collect();
        versions.sort();
        assert_eq!(versions.iter().map(ReleaseVersion::as_str).collect::<Vec<_>>(), ordered);
    }

    #[test]
    fn bad_versions_are_refused() {
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0+",
            "1.0.0 ",
            " 1.0.0",
            "1.0.0-é",
            "1.0.0/",
            "+1.0.0",
            "1.-1.0",
            "1.0.0-a_b",
            "1.0.0\n",
            "18446744073709551616.0.0",
            "..",
            "-",
            "+",
        ] {
            assert!(text.parse::<ReleaseVersion>().is_err(), "{text:?}");
        }
        let long = format!("1.0.0-{}", "a".repeat(limits::VERSION));
        assert!(matches!(long.parse::<ReleaseVersion>(), Err(VersionError::TooLong { .. })));
    }

    #[test]
    fn pre_releases_are_told_from_releases() {
        assert!("1.0.0-rc.1+x".parse::<ReleaseVersion>().unwrap().is_pre_release());
        assert!(!"1.0.0+x-y".parse::<ReleaseVersion>().unwrap().is_pre_release());
    }

    proptest! {
        #[test]
        fn prints_what_it_was_read_from(version in strategies::version()) {
            prop_assert_eq!(version.to_string().parse::<ReleaseVersion>(), Ok(version));
        }

        #[test]
        fn agrees_with_another_reader(left in strategies::version_text(), right in strategies::version_text()) {
            let theirs = semver::Version::parse(&left).unwrap().cmp_precedence(&semver::Version::parse(&right).unwrap());
            let (left, right): (ReleaseVersion, ReleaseVersion) = (left.parse().unwrap(), right.parse().unwrap());
            let ours = left.cmp(&right);
            prop_assert!(theirs == ours || (theirs.is_eq() && left.as_str().contains('+') | right.as_str().contains('+')));
            prop_assert_eq!(ours.is_eq(), left == right);
        }

        #[test]
        fn takes_exactly_what_another_reader_takes(text in "[0-9a.+-]{0,12}") {
            prop_assert_eq!(text.parse::<ReleaseVersion>().is_ok(), semver::Version::parse(&text).is_ok(), "{}", text);
        }
    }
}
