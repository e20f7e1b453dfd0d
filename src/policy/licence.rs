//! Which licences may be used. May import nothing of ours.
//!
//! A package states a list of licences and not what the list means, so one that is denied denies the release.

use std::collections::BTreeSet;

/// What happens where something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhereUnknown {
    Allow,
    Hold,
}

/// `licenses:` of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceRules {
    /// As they were written.
    written: Vec<String>,
    deny: BTreeSet<String>,
    unknown: WhereUnknown,
}

/// Why a list of licences is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceFault {
    /// This one is denied.
    Denied(Box<str>),
    /// None is stated, or this one is not a licence that SPDX knows.
    Unknown(Option<Box<str>>),
}

impl LicenceRules {
    /// Rules that deny these SPDX identifiers, in whatever case they are written.
    pub fn new(deny: impl IntoIterator<Item = String>, unknown: WhereUnknown) -> Self {
        let written: Vec<String> = deny.into_iter().collect();
        Self { deny: written.iter().map(|id| id.to_ascii_lowercase()).collect(), written, unknown }
    }

    /// What is denied, as it was written.
    pub fn denied(&self) -> &[String] {
        &self.written
    }

    /// What becomes of a release whose licence is not known.
    pub fn unknown(&self) -> WhereUnknown {
        self.unknown
    }

    /// What is wrong with the licences that a release states; nothing if they are fine.
    pub fn judge(&self, stated: &[Box<str>]) -> Option<LicenceFault> {
        if let Some(denied) = stated.iter().find(|licence| self.deny.contains(&licence.to_ascii_lowercase())) {
            return Some(LicenceFault::Denied(denied.clone()));
        }
        if self.unknown == WhereUnknown::Allow {
            return None;
        }
        match stated.iter().find(|licence| !is_spdx(licence)) {
            Some(unknown) => Some(LicenceFault::Unknown(Some(unknown.clone()))),
            None => stated.is_empty().then_some(LicenceFault::Unknown(None)),
        }
    }
}

/// Whether a text is the identifier of a licence on the SPDX list, in whatever case.
pub fn is_spdx(text: &str) -> bool {
    spdx::license_id(text).is_some()
        || spdx::identifiers::LICENSES.iter().any(|licence| licence.name.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(licences: &[&str]) -> Vec<Box<str>> {
        licences.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn one_denied_licence_is_enough() {
        let rules = LicenceRules::new(["AGPL-3.0-only".to_owned()], WhereUnknown::Allow);
        assert_eq!(rules.judge(&stated(&["MIT", "agpl-3.0-ONLY"])), Some(LicenceFault::Denied("agpl-3.0-ONLY".into())));
        for fine in [&["MIT"][..], &[], &["My own"], &["AGPL-3.0-or-later"]] {
            assert_eq!(rules.judge(&stated(fine)), None, "{fine:?}");
        }
    }

    #[test]
    fn what_spdx_does_not_know_is_held_where_that_is_the_rule() {
        let rules = LicenceRules::new(["AGPL-3.0-only".to_owned()], WhereUnknown::Hold);
        assert_eq!(rules.judge(&stated(&["MIT", "apache-2.0"])), None);
        assert_eq!(rules.judge(&[]), Some(LicenceFault::Unknown(None)));
        assert_eq!(rules.judge(&stated(&["MIT", "Mine"])), Some(LicenceFault::Unknown(Some("Mine".into()))));
        assert_eq!(
            rules.judge(&stated(&["Mine", "AGPL-3.0-only"])),
            Some(LicenceFault::Denied("AGPL-3.0-only".into()))
        );
    }
}
