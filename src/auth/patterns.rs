//! Which packages of a repository, by patterns of their names.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::hex::limits;

/// The packages that somebody may read: all, or those whose names match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSet {
    /// A name matches where every part of one of the patterns does. Nothing is made of them beforehand: they are made with
    /// each request, and compared with a name or two.
    limited: Option<Arc<BTreeSet<String>>>,
}

/// Between the parts of a pattern, each of which must match; no package name has it.
const AND: char = '&';

impl PatternSet {
    /// Every package.
    pub fn everything() -> Self {
        Self { limited: None }
    }

    /// Packages that match one of `patterns`; `*` among them is everything. A text that is no pattern matches nothing.
    pub fn of(patterns: BTreeSet<String>) -> Self {
        if patterns.contains("*") {
            return Self::everything();
        }
        Self { limited: Some(Arc::new(patterns)) }
    }

    /// The packages that are in both.
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

    /// The packages that are in one of the two.
    pub fn or(&self, other: &Self) -> Self {
        match (self.patterns(), other.patterns()) {
            (Some(ours), Some(theirs)) => Self::of(ours.union(theirs).cloned().collect()),
            _ => Self::everything(),
        }
    }

    /// Whether a package may be read.
    pub fn allows(&self, package: &str) -> bool {
        let Some(limited) = &self.limited else { return true };
        limited.iter().any(|pattern| pattern.split(AND).all(|part| matches(part, package)))
    }

    /// The patterns in their order, `None` where everything may be read: two sets of the same patterns are the same.
    pub fn patterns(&self) -> Option<&BTreeSet<String>> {
        self.limited.as_deref()
    }

    /// Whether `text` may be a pattern of package names: their characters, and `*`.
    pub fn is_pattern(text: &str) -> bool {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*');
        (1..=limits::PACKAGE_NAME).contains(&text.len()) && text.bytes().all(is_part)
    }
}

/// Whether all of `name` is `pattern`, whose `*` is any text. Takes no longer than their lengths multiplied.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // As early as can be: what fits later fits behind it, too.
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
        assert!(!set(&[]).and(&PatternSet::everything()).allows("x"), "no pattern allows nothing");
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
