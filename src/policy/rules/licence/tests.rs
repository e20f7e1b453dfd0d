//! Tests of licence entries: denied, unknown and allowed ones.

use proptest::prelude::*;

use super::*;

fn stated(licences: &[&str]) -> LicenceFacts {
    LicenceFacts::Stated(licences.iter().map(|text| (*text).into()).collect())
}

fn rules(deny: &[&str], unknown: WhereUnknown) -> LicenceRules {
    LicenceRules::new(deny.iter().map(|text| (*text).to_owned()), unknown)
}

#[test]
fn one_denied_licence_is_enough() {
    let rules = rules(&["AGPL-3.0-only"], WhereUnknown::Allow);
    assert_eq!(rules.judge(&stated(&["MIT", "agpl-3.0-ONLY"])), Some(LicenceFault::Denied("agpl-3.0-ONLY".into())));
    for fine in [&["MIT"][..], &[], &["My own"], &["AGPL-1.0-only"], &[""]] {
        assert_eq!(rules.judge(&stated(fine)), None, "{fine:?}");
    }
}

#[test]
fn what_spdx_does_not_know_is_held_where_that_is_the_rule() {
    let rules = rules(&["AGPL-3.0-only"], WhereUnknown::Hold);
    assert_eq!(rules.judge(&stated(&["MIT", "apache-2.0"])), None);
    assert_eq!(rules.judge(&stated(&[])), Some(LicenceFault::Unknown(None)));
    for empty in ["", " ", "\t", "\u{a0}"] {
        for list in [&[empty][..], &["MIT", empty], &[empty, "MIT"]] {
            assert_eq!(rules.judge(&stated(list)), Some(LicenceFault::Unknown(Some("".into()))), "{list:?}");
        }
    }
    assert_eq!(rules.judge(&stated(&["MIT", "Mine"])), Some(LicenceFault::Unknown(Some("Mine".into()))));
    assert_eq!(rules.judge(&stated(&["Mine", "AGPL-3.0-only"])), Some(LicenceFault::Denied("AGPL-3.0-only".into())));
}

#[test]
fn expressions_are_taken_apart() {
    let rules = rules(&["AGPL-3.0-only", "LicenseRef-Acme", " my OWN "], WhereUnknown::Hold);
    let denied = [
        " agpl-3.0-only ",
        "AGPL-3.0-only+",
        "AGPL-3.0+",
        "AGPL-3.0",
        "AGPL-3.0-or-later",
        "AGPL-3.0-or-later+",
        "(AGPL-3.0)",
        "MIT AND AGPL-3.0-only",
        "MIT and (AGPL-3.0-only Or AGPL-3.0)",
        "Mine AND AGPL-3.0-only",
        "AGPL-3.0-only WITH Mine-exception",
        "LicenseRef-acme",
        "MIT AND LicenseRef-Acme",
        "LicenseRef-AGPL-3.0-only",
        "licenseref-agpl-3.0-only",
        "LICENSEREF-AGPL-3.0",
        "LicenseRef-AGPL-3.0-or-later",
        "MIT AND DocumentRef-x:LicenseRef-AGPL-3.0-only",
        "documentref-x:licenseref-AGPL-3.0-only+",
        "licenseref-ACME",
        "My own",
    ];
    for text in denied {
        assert_eq!(rules.judge(&stated(&[text])), Some(LicenceFault::Denied(text.trim().into())), "{text:?}");
    }
    for text in [
        "MIT",
        "(MIT OR AGPL-3.0-only)",
        "MIT/AGPL-3.0",
        "MIT OR Mine",
        "mit with classpath-exception-2.0",
        "MIT OR licenseref-agpl-3.0-only",
    ] {
        assert_eq!(rules.judge(&stated(&[text])), None, "{text:?}");
    }
    for text in [
        "LicenseRef-MIT",
        "licenseref-mit",
        "Mine",
        "MIT AND Mine",
        "Mine OR AGPL-3.0-only",
        "MIT AND",
        "MIT, AGPL-3.0-only",
        "NOASSERTION",
        "(((",
    ] {
        assert_eq!(rules.judge(&stated(&[text])), Some(LicenceFault::Unknown(Some(text.into()))), "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_held_whatever_the_rule() {
    for unknown in [WhereUnknown::Allow, WhereUnknown::Hold] {
        let fault = rules(&["MIT"], unknown).judge(&LicenceFacts::Unreadable("why".into()));
        assert_eq!(fault, Some(LicenceFault::Undecided("why".into())));
    }
}

/// An expression over three licences, as text and as what satisfies it.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(usize),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
}

const LEAVES: [&str; 3] = ["MIT", "agpl-3.0+", "Mine"];

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Leaf(leaf) => LEAVES[*leaf].to_owned(),
            Self::Both(one, other) => format!("({} AND {})", one.text(), other.text()),
            Self::Either(one, other) => format!("({}/{})", one.text(), other.text()),
        }
    }

    fn holds(&self, leaves: [bool; 3]) -> bool {
        match self {
            Self::Leaf(leaf) => leaves[*leaf],
            Self::Both(one, other) => one.holds(leaves) && other.holds(leaves),
            Self::Either(one, other) => one.holds(leaves) || other.holds(leaves),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    (0..3_usize).prop_map(Tree::Leaf).prop_recursive(5, 20, 2, |below| {
        (below.clone(), below, any::<bool>()).prop_map(|(one, other, both)| {
            let (one, other) = (Box::new(one), Box::new(other));
            if both { Tree::Both(one, other) } else { Tree::Either(one, other) }
        })
    })
}

proptest! {
    #[test]
    fn an_expression_is_denied_exactly_where_it_needs_what_is_denied(tree in trees()) {
        let text = tree.text();
        let fault = |unknown| rules(&["AGPL-3.0-only"], unknown).judge(&stated(&[&text]));
        let is_denied = !tree.holds([true, false, true]);
        prop_assert_eq!(matches!(fault(WhereUnknown::Allow), Some(LicenceFault::Denied(_))), is_denied);
        prop_assert_eq!(fault(WhereUnknown::Hold).is_none(), tree.holds([true, false, false]));
    }

    #[test]
    fn any_text_is_judged(text in "[ -~\\t\\n\u{e9}\u{212a}]{0,80}") {
        let _fault = rules(&["AGPL-3.0-only"], WhereUnknown::Hold).judge(&stated(&[&text]));
    }
}
