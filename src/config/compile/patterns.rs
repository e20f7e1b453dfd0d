//! Reads lists of patterns of package names.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::config::fault::Fault;
use crate::config::fields::Field;
use crate::config::problem::Excerpt;
use crate::config::settings::NamePatterns;
use crate::config::{bounds, defaults};

/// Reads a list of at least one pattern.
pub(super) fn included(field: &Field<'_>) -> Option<NamePatterns> {
    if field.is_empty_list() {
        field.fault(Fault::IncludesNothing);
    }
    patterns(field)
}

/// The patterns that match all names.
pub(super) fn everything() -> NamePatterns {
    let pattern = Glob::new(defaults::INCLUDE);
    let set = pattern.and_then(|glob| GlobSetBuilder::new().add(glob).build());
    #[expect(clippy::expect_used, reason = "the pattern is compiled in, and every test of the defaults builds it")]
    NamePatterns { patterns: vec![defaults::INCLUDE.to_owned()], set: set.expect("a star is a pattern") }
}

/// The patterns that match no name.
pub(super) fn nothing() -> NamePatterns {
    NamePatterns { patterns: Vec::new(), set: GlobSet::empty() }
}

/// Reads a list of patterns, which may be empty.
pub(super) fn patterns(field: &Field<'_>) -> Option<NamePatterns> {
    let globs = field.list(|item| {
        let text = item.text()?;
        let bad = |reason: &str| Fault::Pattern { pattern: Excerpt::new(text), reason: Excerpt::new(reason) };
        if text.len() > bounds::MAX_PATTERN_BYTES {
            item.fault(bad("it is too long"));
            return None;
        }
        item.check(Glob::new(text).map_err(|error| bad(&error.kind().to_string())))
    })?;
    let mut builder = GlobSetBuilder::new();
    for glob in &globs {
        builder.add(glob.clone());
    }
    let set = field.check(builder.build().map_err(|error| Fault::Patterns(Excerpt::new(&error.kind().to_string()))))?;
    Some(NamePatterns { patterns: globs.iter().map(|glob| glob.glob().to_owned()).collect(), set })
}
