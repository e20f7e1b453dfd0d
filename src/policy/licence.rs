//! Which licences may be used. May import `hex::limits`.
//!
//! A package states a list of licences and not what the list means, so one entry that is denied denies the release. An
//! entry is an SPDX expression and is taken apart: it is denied where it cannot be satisfied without a denied licence.

mod spdx_name;

use std::collections::BTreeSet;

use spdx::{Expression, LicenseItem, LicenseReq, ParseMode};

use crate::hex::limits;
use spdx_name::{Licence, canonical};

/// What happens where something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhereUnknown {
    Allow,
    Hold,
}

/// What the tarball of a release states as its licences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Licences {
    /// These, as written; an empty list where it states none.
    Stated(Box<[Box<str>]>),
    /// They cannot be read, or readers read them in different ways; why.
    Unreadable(Box<str>),
}

/// `licenses:` of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceRules {
    /// As they were written.
    written: Vec<String>,
    /// The same without spaces around them, in lower case.
    texts: BTreeSet<String>,
    /// Those that SPDX knows.
    licences: Vec<Licence>,
    unknown: WhereUnknown,
}

/// Why licences are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceFault {
    /// This entry needs a licence that is denied.
    Denied(Box<str>),
    /// None is stated, or this entry needs one that SPDX does not know.
    Unknown(Option<Box<str>>),
    /// What is stated cannot be read; why.
    Undecided(Box<str>),
}

/// What an entry needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Allowed,
    Unknown,
    Denied,
}

/// Expressions as packages write them: `/` for `OR`, `+` behind any licence, and licences that SPDX does not know.
const AS_WRITTEN: ParseMode = ParseMode {
    allow_slash_as_or_operator: true,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: true,
};

impl LicenceRules {
    /// Rules that deny these SPDX identifiers, in whatever case they are written.
    pub fn new(deny: impl IntoIterator<Item = String>, unknown: WhereUnknown) -> Self {
        let written: Vec<String> = deny.into_iter().collect();
        Self {
            texts: written.iter().map(|text| text.trim().to_ascii_lowercase()).collect(),
            licences: written.iter().filter_map(|text| Licence::read(text)).collect(),
            written,
            unknown,
        }
    }

    /// What is denied, as it was written.
    pub fn denied(&self) -> &[String] {
        &self.written
    }

    /// What becomes of a release whose licence is not known.
    pub fn unknown(&self) -> WhereUnknown {
        self.unknown
    }

    /// What is wrong with the licences of a release; nothing if they are fine.
    pub fn judge(&self, licences: &Licences) -> Option<LicenceFault> {
        let stated = match licences {
            Licences::Stated(stated) => stated.iter().map(|text| text.trim()).filter(|text| !text.is_empty()),
            Licences::Unreadable(why) => return Some(LicenceFault::Undecided(why.clone())),
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
                let is_denied = |text: &str| self.texts.contains(&text.to_ascii_lowercase());
                is_denied(&other.lic_ref) || is_denied(&other.to_string())
            }
        }
    }
}

fn is_known(one: &LicenseReq) -> bool {
    one.license.id().is_some_and(|id| id.name != "NOASSERTION")
}

/// Whether a text is the identifier of a licence on the SPDX list, in whatever case.
pub fn is_spdx(text: &str) -> bool {
    Licence::read(text).is_some()
}

fn excerpt(text: &str) -> Box<str> {
    text.chars().take(limits::EXCERPT).collect()
}

#[cfg(test)]
mod tests;
