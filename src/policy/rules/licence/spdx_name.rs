//! Converts names of licences to current SPDX identifiers. Ignores case, and accepts deprecated names and the endings
//! `-only`, `-or-later` and `+`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Deprecated SPDX names and their replacements, except those that only got an ending such as `-only`.
const RENAMED: [(&str, &str); 7] = [
    ("bsd-2-clause-freebsd", "BSD-2-Clause-Views"),
    ("bsd-2-clause-netbsd", "BSD-2-Clause"),
    ("bzip2-1.0.5", "bzip2-1.0.6"),
    ("ecos-2.0", "GPL-2.0-only"),
    ("nunit", "zlib-acknowledgement"),
    ("standardml-nj", "SMLNJ"),
    ("wxwindows", "LGPL-2.0-only"),
];

/// The prefix of a licence that is not in the SPDX list.
const LICENSE_REF: &str = "LicenseRef-";

/// The prefix of a document that defines such a licence.
const DOCUMENT_REF: &str = "DocumentRef-";

/// The current identifier for each SPDX name in lower case. Names with the variants `-only` and `-or-later` map to
/// `-only`.
static IDENTIFIERS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let names = || spdx::identifiers::LICENSES.iter().map(|licence| licence.name);
    let mut identifiers: HashMap<String, &'static str> =
        names().map(|name| (name.to_ascii_lowercase(), name)).collect();
    for name in names() {
        let plain = name.split("-with-").next().unwrap_or(name).trim_end_matches('+');
        let base = without_ending(plain);
        let only = identifiers.get(&format!("{}-only", base.to_ascii_lowercase())).copied();
        if let Some(only) = only {
            identifiers.insert(name.to_ascii_lowercase(), only);
        }
    }
    identifiers.extend(RENAMED.map(|(old, new)| (old.to_owned(), new)));
    identifiers
});

fn without_ending(name: &str) -> &str {
    name.strip_suffix("-only").or_else(|| name.strip_suffix("-or-later")).unwrap_or(name)
}

/// A licence of the SPDX list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Licence {
    /// The name without the version.
    family: String,
    version: Vec<u64>,
    /// Whether it includes later versions.
    or_later: bool,
}

impl Licence {
    /// Reads the name of one licence, which may end with `+`; `None` if SPDX does not list it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let plain = text.trim_end_matches('+');
        let name = IDENTIFIERS.get(plain)?;
        let or_later = plain.len() < text.len() || plain.ends_with("-or-later");
        Some(Self { or_later, ..Self::of_identifier(name) })
    }

    /// The licence of an SPDX identifier, without its ending.
    pub(super) fn of_identifier(name: &str) -> Self {
        let number = |part: &str| part.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>();
        let (mut family, mut version) = (Vec::new(), Vec::new());
        for part in without_ending(name).split('-') {
            match number(part).filter(|_| version.is_empty()) {
                Some(found) => version = found,
                None => family.push(part),
            }
        }
        Self { family: family.join("-"), version, or_later: false }
    }

    /// Whether `other` is this licence, or a later version that this one includes.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.family == other.family
            && (self.version == other.version || (self.or_later && self.version < other.version))
    }
}

/// Replaces each identifier in an expression with its current SPDX spelling. `-or-later` and `+` are removed: the
/// version itself satisfies a licence "or later".
pub(super) fn canonical(text: &str) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | ':');
    let (mut canonical, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(character) = rest.chars().next() {
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let end = if end == 0 { character.len_utf8() } else { end };
        let (part, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = behind;
        if !is_word(character) {
            canonical.push(character);
            continue;
        }
        canonical.push_str(&word(part));
        // A `+` between two words is not an ending: without it they would become one word.
        let without_plus = rest.trim_start_matches('+');
        if !without_plus.starts_with(is_word) {
            rest = without_plus;
        }
    }
    canonical
}

fn word(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if let "and" | "or" | "with" = &*lower {
        return lower.to_ascii_uppercase();
    }
    if let Some(name) = IDENTIFIERS.get(&lower) {
        return (*name).to_owned();
    }
    if let Some(reference) = with_usual_prefixes(text) {
        return reference;
    }
    let exception = spdx::identifiers::EXCEPTIONS.iter().find(|one| one.name.eq_ignore_ascii_case(text));
    exception.map_or_else(|| text.to_owned(), |one| one.name.to_owned())
}

/// A reference to a licence outside the SPDX list (`LicenseRef-NAME`, `DocumentRef-FILE:LicenseRef-NAME`) with its
/// prefixes in their usual case, since the parser of expressions compares them exactly; `None` if the text is none.
fn with_usual_prefixes(text: &str) -> Option<String> {
    let behind = |text: &'_ str, prefix: &str| {
        let (start, rest) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| format!("{prefix}{rest}"))
    };
    match text.split_once(':') {
        Some((document, licence)) => {
            Some(format!("{}:{}", behind(document, DOCUMENT_REF)?, behind(licence, LICENSE_REF)?))
        }
        None => behind(text, LICENSE_REF),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_those_of_today() {
        for (written, expected) in [
            ("agpl-3.0", "AGPL-3.0-only"),
            ("AGPL-3.0+", "AGPL-3.0-only"),
            ("AGPL-3.0-or-later", "AGPL-3.0-only"),
            ("AGPL-3.0-or-later+", "AGPL-3.0-only"),
            ("gpl-2.0-with-Classpath-exception", "GPL-2.0-only"),
            ("GFDL-1.1-invariants", "GFDL-1.1-invariants-only"),
            ("apache-2.0", "Apache-2.0"),
            ("BSD-2-Clause-NetBSD", "BSD-2-Clause"),
            ("(mit  or\tfoo_bar)", "(MIT  OR\tfoo_bar)"),
            ("gpl-2.0 with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
            ("licenseref-agpl-3.0-only", "LicenseRef-agpl-3.0-only"),
            ("mit or DOCUMENTREF-a:LICENSEREF-B+", "MIT OR DocumentRef-a:LicenseRef-B"),
            ("é+", "é+"),
            ("s+l", "s+l"),
            ("mit++ OR s++l+", "MIT OR s++l"),
            ("", ""),
        ] {
            assert_eq!(canonical(written), expected, "{written}");
        }
        for (_, new) in RENAMED {
            assert!(spdx::license_id(new).is_some_and(|id| !id.is_deprecated()), "{new}");
        }
    }

    #[test]
    fn a_licence_contains_its_version_and_later_ones_where_it_says_so() {
        for (denied, stated, contains) in [
            ("AGPL-3.0-only", "AGPL-3.0-only", true),
            ("AGPL-3.0", "AGPL-3.0-or-later", true),
            ("AGPL-3.0-or-later", "AGPL-3.0-only", true),
            ("AGPL-3.0-only", "AGPL-1.0-only", false),
            ("AGPL-1.0+", "AGPL-3.0-only", true),
            ("GPL-2.0-or-later", "GPL-3.0-only", true),
            ("GPL-3.0-or-later", "GPL-2.0-or-later", false),
            ("GPL-2.0-only", "LGPL-2.0-only", false),
            ("MPL-2.0", "MPL-2.0-no-copyleft-exception", false),
            ("MIT", "MIT", true),
            ("MIT", "MIT-0", false),
        ] {
            let (denied, stated) = (Licence::read(denied).unwrap(), Licence::read(stated).unwrap());
            assert_eq!(denied.contains(&stated), contains, "{denied:?} {stated:?}");
        }
        for unknown in ["", "Mine", "AGPL-3", "MIT OR MIT"] {
            assert_eq!(Licence::read(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn what_is_canonical_stays_as_it_is(text in "[ -~é]{0,60}") {
            let once = canonical(&text);
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
