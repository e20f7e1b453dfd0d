//! Sets of packages in a repository, given by patterns of their names.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::hex::limits;

/// The packages that a caller may read: all, or those whose names match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSet {
    /// A name matches if each part of one of the patterns does. Patterns are not compiled: a set is built for each
    /// request, and compared with only one or two names.
    limited: Option<Arc<BTreeSet<String>>>,
}

/// Separates the parts of a pattern, all of which must match. Package names cannot contain it.
const AND: char = '&';

impl PatternSet {
    /// Every package.
    pub fn everything() -> Self {
        Self { limited: None }
    }

    /// Packages that match one of `patterns`; `*` means all packages. An invalid pattern matches nothing.
    pub fn of(patterns: BTreeSet<String>) -> Self {
        if patterns.contains("*") {
            return Self::everything();
        }
        Self { limited: Some(Arc::new(patterns)) }
    }

    /// The intersection of two sets.
    pub fn and(&self, other: &Self) -> Self {
        let (ours, theirs) = match (self.patterns(), other.patterns()) {
            (None, _) => return other.clone(),
            (_, None) => return self.clone(),
            (Some(ours), Some(theirs)) => (ours, theirs),
        };
        let mut both = BTreeSet::new();
        for one in ours {
            for two in theirs {
                let parts: BTreeSet<&str> = one.split(AND).chain(two.split(AND)).collect();
                both.insert(parts.into_iter().collect::<Vec<_>>().join("&"));
            }
        }
        Self::of(both)
    }

    /// The union of two sets.
    pub fn or(&self, other: &Self) -> Self {
        match (self.patterns(), other.patterns()) {
            (Some(ours), Some(theirs)) => Self::of(ours.union(theirs).cloned().collect()),
            _ => Self::everything(),
        }
    }

    /// Whether the set contains a package.
    pub fn allows(&self, package: &str) -> bool {
        let Some(limited) = &self.limited else { return true };
        limited.iter().any(|pattern| pattern.split(AND).all(|part| matches(part, package)))
    }

    /// The sorted patterns, `None` for all packages. Two sets with the same patterns are equal.
    pub fn patterns(&self) -> Option<&BTreeSet<String>> {
        self.limited.as_deref()
    }

    /// Whether `text` is a valid pattern: characters of package names, and `*`.
    pub fn is_pattern(text: &str) -> bool {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*');
        (1..=limits::PACKAGE_NAME).contains(&text.len()) && text.bytes().all(is_part)
    }
}

/// Whether `name` matches `pattern`, in which `*` is any text. The time is at most the product of their lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The earliest match: a part that matches later leaves less room for the next parts.
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(patterns: &[&str]) -> PatternSet {
        PatternSet::of(patterns.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn what_is_in_both_is_what_each_allows() {
        let both = set(&["acme_*", "plug"]).and(&set(&["*_auth", "plug"]));
        for (package, allowed) in [("acme_auth", true), ("acme_web", false), ("b_auth", false), ("plug", true)] {
            assert_eq!(both.allows(package), allowed, "{package}");
        }
        assert!(set(&["*"]).and(&PatternSet::everything()).allows("x"));
        assert!(!set(&[]).and(&PatternSet::everything()).allows("x"), "an empty set allows nothing");
        assert!(!set(&["a{"]).allows("a"));
    }

    proptest! {
        #[test]
        fn a_pattern_is_what_a_glob_is(pattern in "[ab_*]{1,8}", name in "[ab_]{0,12}") {
            let glob = globset::Glob::new(&pattern).unwrap().compile_matcher();
            prop_assert_eq!(matches(&pattern, &name), glob.is_match(&name), "{} {}", pattern, name);
        }

        #[test]
        fn and_is_the_intersection_and_or_the_union(
            one in proptest::collection::btree_set("[ab*]{1,4}", 0..4),
            two in proptest::collection::btree_set("[ab*]{1,4}", 0..4),
            package in "[ab]{1,5}",
        ) {
            let (one, two) = (PatternSet::of(one), PatternSet::of(two));
            prop_assert_eq!(one.and(&two).allows(&package), one.allows(&package) && two.allows(&package));
            prop_assert_eq!(one.or(&two).allows(&package), one.allows(&package) || two.allows(&package));
        }
    }
}
