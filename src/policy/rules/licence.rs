//! The rule `licenses`: holds releases with a denied or an unknown licence.
//!
//! A package states a list of licences, but not whether all of them apply or any one of them. Therefore one denied
//! entry is enough to hold the release. Each entry is evaluated as an SPDX expression: it is denied if no choice of
//! licences satisfies it without a denied licence.

mod spdx_name;

use std::collections::BTreeSet;

use spdx::{Expression, LicenseItem, LicenseReq, ParseMode};

use super::key::{RuleKey, RuleValue, choose};
use super::{ReleaseCase, ReleaseRules, Rule, RuleInput, RuleQuery, WhereUnknown};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::limits;
use crate::policy::class::Class;
use crate::policy::decision_inputs::LockExemption;
use crate::policy::reason::Reason;
use crate::policy::release_facts::{LicenceFacts, ListedFacts};
use spdx_name::{Licence, canonical};

/// `licenses`
pub(super) const KEY: RuleKey = RuleKey {
    name: "licenses",
    written: RuleValue::Table {
        begin: |rules| rules.licences = Some(LicenceRules::default()),
        keys: &[DENY, UNKNOWN],
        is_written: |rules| rules.licences.is_some(),
    },
    may_be_null: true,
    check: RuleKey::ANY,
};

/// `licenses.deny`
const DENY: RuleKey = RuleKey {
    name: "deny",
    written: RuleValue::Texts {
        read: |rules, licence| {
            written(rules).deny(licence);
            Ok(())
        },
        print: |rules| rules.licences.as_ref().map(|licences| licences.written.clone()).unwrap_or_default(),
    },
    may_be_null: false,
    check: |rules| {
        let denies_nothing =
            |licences: &LicenceRules| licences.written.is_empty() && licences.unknown == WhereUnknown::Allow;
        rules.licences.as_ref().is_some_and(denies_nothing).then_some(
            "this denies no licence and holds no release; list licences under `deny`, or set `unknown: hold`",
        )
    },
};

/// `licenses.unknown`
const UNKNOWN: RuleKey = RuleKey {
    name: "unknown",
    written: RuleValue::Text {
        read: |rules, word| choose(word).map(|unknown| written(rules).unknown = unknown),
        print: |rules| rules.licences.as_ref().map(|licences| licences.unknown.word().to_owned()),
    },
    may_be_null: false,
    check: RuleKey::ANY,
};

fn written(rules: &mut ReleaseRules) -> &mut LicenceRules {
    rules.licences.get_or_insert_with(LicenceRules::default)
}

/// Holds a release with a denied licence, or with an unknown licence if `unknown` is `hold`, as soon as its licences
/// have been read.
#[derive(Debug)]
pub(super) struct Licensing;

impl Rule for Licensing {
    fn class(&self) -> Class {
        Class::Licence
    }

    fn is_set(&self, rules: &ReleaseRules) -> bool {
        rules.licences.is_some()
    }

    fn needs(&self) -> &'static [RuleInput] {
        &[RuleInput::Licences]
    }

    fn judge(&self, case: &ReleaseCase<'_>, _: RuleQuery) -> Option<Reason> {
        let rules = case.rules.licences.as_ref()?;
        let fault = rules.judge(&*case.known.licences(case.release)?)?;
        Some(match fault {
            LicenceFault::Denied(licence) => Reason::new(WORD, format!("has the licence {licence}")),
            LicenceFault::Unknown(Some(text)) if text.is_empty() => {
                Reason::new(WORD, "has an empty entry in its list of licences")
            }
            LicenceFault::Unknown(Some(text)) => {
                Reason::new(WORD, format!("states {text} as its licence, which SPDX does not know"))
            }
            LicenceFault::Unknown(None) => Reason::new(WORD, "states no licence"),
            LicenceFault::Undecided(why) => {
                Reason::undecided(WORD, format!("has licences that cannot be determined: {why}"))
            }
        })
    }

    fn could_decide_at(&self, delivery: &LockExemption) -> bool {
        delivery.licences_known
    }

    /// Always `false`: the licences of a release are known after its first download, not from the lists.
    fn is_certainly_allowed(&self, _: &ReleaseRules, _: &ListedFacts, _: Timestamp) -> bool {
        false
    }

    fn warnings(&self, rules: &ReleaseRules) -> Vec<String> {
        let denied = rules.licences.iter().flat_map(|licences| &licences.written);
        let unlisted = denied.filter(|text| Licence::read(text).is_none());
        unlisted
            .map(|licence| {
                format!(
                    "licenses.deny: `{licence}` is not an SPDX licence identifier; it denies only packages that write it in exactly this way"
                )
            })
            .collect()
    }
}

/// The label of this rule in metrics and records.
const WORD: &str = "licence";

/// The value of `licenses` in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenceRules {
    /// The denied licences, as written.
    written: Vec<String>,
    /// The denied licences in lower case, without spaces around them.
    texts: BTreeSet<String>,
    /// Those of them that SPDX lists.
    licences: Vec<Licence>,
    /// Whether a release with an unknown licence is held.
    unknown: WhereUnknown,
}

/// Why the licences of a release hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LicenceFault {
    /// This entry requires a denied licence.
    Denied(Box<str>),
    /// This entry requires a licence that SPDX does not list, or is empty; `None`: the release states no licence.
    Unknown(Option<Box<str>>),
    /// The licences cannot be read. Contains the cause.
    Undecided(Box<str>),
}

/// The licences that are necessary to satisfy an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Allowed,
    Unknown,
    Denied,
}

/// Accepts expressions as packages write them: with `/` for `OR`, `+` after any licence, and licences that SPDX does
/// not list.
const AS_WRITTEN: ParseMode = ParseMode {
    allow_slash_as_or_operator: true,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: true,
};

impl LicenceRules {
    /// Rules that deny these SPDX identifiers. Case is ignored.
    #[cfg(test)]
    pub fn new(deny: impl IntoIterator<Item = String>, unknown: WhereUnknown) -> Self {
        let mut rules = Self { unknown, ..Self::default() };
        deny.into_iter().for_each(|licence| rules.deny(&licence));
        rules
    }

    fn deny(&mut self, licence: &str) {
        self.texts.insert(licence.trim().to_ascii_lowercase());
        self.licences.extend(Licence::read(licence));
        self.written.push(licence.to_owned());
    }

    /// Whether these rules hold a release with these licences.
    pub fn hold(&self, licences: &LicenceFacts) -> bool {
        self.judge(licences).is_some()
    }

    /// Why these licences hold a release; `None` if they do not.
    fn judge(&self, licences: &LicenceFacts) -> Option<LicenceFault> {
        let stated = match licences {
            LicenceFacts::Stated(stated) => stated.iter().map(|text| text.trim()),
            LicenceFacts::Unreadable(why) => return Some(LicenceFault::Undecided(why.clone())),
        };
        let needs: Vec<(&str, Needs)> = stated.map(|text| (text, self.needs(text))).collect();
        let first = |wanted: Needs| needs.iter().find(|(_, needs)| *needs == wanted).map(|(text, _)| excerpt(text));
        if let Some(denied) = first(Needs::Denied) {
            return Some(LicenceFault::Denied(denied));
        }
        if self.unknown == WhereUnknown::Allow {
            return None;
        }
        match first(Needs::Unknown) {
            Some(unknown) => Some(LicenceFault::Unknown(Some(unknown))),
            None => needs.is_empty().then_some(LicenceFault::Unknown(None)),
        }
    }

    fn needs(&self, text: &str) -> Needs {
        if self.texts.contains(&text.to_ascii_lowercase()) {
            return Needs::Denied;
        }
        let Ok(expression) = Expression::parse_mode(&canonical(text), AS_WRITTEN) else { return Needs::Unknown };
        if !expression.evaluate(|one| !self.denies(one)) {
            Needs::Denied
        } else if expression.evaluate(|one| is_known(one) && !self.denies(one)) {
            Needs::Allowed
        } else {
            Needs::Unknown
        }
    }

    fn denies(&self, one: &LicenseReq) -> bool {
        match &one.license {
            LicenseItem::Spdx { id, .. } => {
                let stated = Licence::of_identifier(id.name);
                self.licences.iter().any(|denied| denied.contains(&stated))
            }
            LicenseItem::Other(other) => {
                // `LicenseRef-` may stand before any name: the name behind it is judged as the licence that it names.
                let named = Licence::read(&other.lic_ref);
                let is_denied = |text: &str| self.texts.contains(&text.to_ascii_lowercase());
                named.is_some_and(|named| self.licences.iter().any(|denied| denied.contains(&named)))
                    || is_denied(&other.lic_ref)
                    || is_denied(&other.to_string())
            }
        }
    }
}

fn is_known(one: &LicenseReq) -> bool {
    one.license.id().is_some_and(|id| id.name != "NOASSERTION")
}

fn excerpt(text: &str) -> Box<str> {
    text.chars().take(limits::EXCERPT).collect()
}

#[cfg(test)]
mod tests;
