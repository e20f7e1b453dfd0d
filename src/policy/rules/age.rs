//! Shared code of the rules about the age of a release, and their key `unknown_published_at`.

use super::key::{RuleKey, RuleValue, choose};
use super::{ReleaseCase, WhereUnknown};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::policy::reason::Reason;
use crate::policy::release_facts::ReleaseFacts;

/// `unknown_published_at`
pub(super) const KEY: RuleKey = RuleKey {
    name: "unknown_published_at",
    written: RuleValue::Text {
        read: |rules, word| choose(word).map(|unknown| rules.unknown_published_at = unknown),
        print: |rules| Some(rules.unknown_published_at.word().to_owned()),
    },
    may_be_null: false,
    check: |rules| {
        let is_timeless = rules.cooldown().is_none() && rules.freeze_after.is_none();
        (is_timeless && rules.unknown_published_at == WhereUnknown::Hold)
            .then_some("this has no effect without `cooldown` or `freeze_after`; remove it")
    },
};

/// The earliest time at which a release is known to have existed.
pub(super) fn known_since(case: &ReleaseCase<'_>, release: &ReleaseFacts) -> Option<Timestamp> {
    release.published_at.or_else(|| case.known.proven_since(release))
}

/// The reason to hold a release whose age is unknown.
pub(super) fn unknown() -> Reason {
    Reason::new("unknown_age", "has no publication date, and nothing else proves its age")
}
