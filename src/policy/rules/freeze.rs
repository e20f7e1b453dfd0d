//! The rule that holds what was published after a moment.

use super::key::{Key, Misread, Written};
use super::{Case, Need, Question, Rule, Rules, WhereUnknown, age};
use crate::clock::Timestamp;
use crate::policy::class::Class;
use crate::policy::facts::ListedFacts;
use crate::policy::moment;
use crate::policy::reason::Reason;

/// `freeze_after`
pub(super) const KEY: Key = Key {
    name: "freeze_after",
    written: Written::Text {
        read: |rules, text| {
            rules.freeze_after = Some(moment::parse(text).ok_or(Misread::Text(moment::EXPECTED))?);
            Ok(())
        },
        print: |rules| rules.freeze_after.map(|at| at.to_string()),
    },
    may_be_null: true,
    check: Key::ANY,
};

/// A release that was published later is held.
#[derive(Debug)]
pub(super) struct Freeze;

impl Rule for Freeze {
    fn class(&self) -> Class {
        Class::Freeze
    }

    fn is_set(&self, rules: &Rules) -> bool {
        rules.freeze_after.is_some()
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::ProvenAge]
    }

    fn judge(&self, case: &Case<'_>, _: Question) -> Option<Reason> {
        let freeze = case.rules.freeze_after?;
        match case.release.published_at {
            Some(published) => {
                (published > freeze).then(|| Reason::new("freeze", format!("was published after {freeze}")))
            }
            None => {
                let proven = case.known.proven_since(case.release).is_some_and(|since| since <= freeze);
                (!proven && case.rules.unknown_published_at == WhereUnknown::Hold).then(age::unknown)
            }
        }
    }

    fn is_beyond_doubt(&self, rules: &Rules, listed: &ListedFacts, _: Timestamp) -> bool {
        let (freeze, updated) = (rules.freeze_after, listed.updated_at);
        freeze.zip(updated).is_some_and(|(freeze, updated)| updated <= freeze)
    }
}
