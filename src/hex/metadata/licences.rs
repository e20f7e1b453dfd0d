//! Reads the licences in the metadata of a package, for policies. Errors in other fields are ignored, but ambiguous
//! licences are rejected.

use super::{READING, is_empty_list, is_nothing, key_text, read_text};
use crate::hex::limits;
use crate::hex::term::{Term, TermError, text};

/// Why the licences in `metadata.config` cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicencesError {
    /// The text does not consist of valid terms, or different clients read it differently.
    #[error("metadata.config cannot be read: {0}")]
    Term(#[from] TermError),
    /// The terms are not pairs.
    #[error("metadata.config is not in key-value format")]
    NotPairs,
    /// The key occurs twice: clients differ on which one counts.
    #[error("metadata.config has licenses twice")]
    Twice,
    /// There are too many licences.
    #[error("metadata.config has more than {max} licenses")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The licences are not texts.
    #[error("the licenses in metadata.config are not a list of texts")]
    NotTexts,
}

/// The licences in `metadata.config`, as written; an empty list if it states none. A single text counts as a list of
/// one.
pub fn licences_of(bytes: &[u8]) -> Result<Vec<Box<str>>, LicencesError> {
    let _alone = READING.lock();
    let mut found = None;
    for term in text::plain(bytes)? {
        let Term::Tuple(items) = term else { return Err(LicencesError::NotPairs) };
        let Ok([key, value]) = <[Term; 2]>::try_from(items) else { return Err(LicencesError::NotPairs) };
        let is_licences = key_text(&key).ok_or(LicencesError::NotPairs)? == "licenses";
        if is_licences && found.replace(value).is_some() {
            return Err(LicencesError::Twice);
        }
    }
    let Some(value) = found.filter(|value| !is_nothing(value)) else { return Ok(Vec::new()) };
    if let Some(text) = read_text(&value) {
        return Ok(vec![text]);
    }
    if is_empty_list(&value) {
        return Ok(Vec::new());
    }
    let Term::List(items) = value else { return Err(LicencesError::NotTexts) };
    if items.len() > limits::METADATA_TEXTS {
        return Err(LicencesError::TooMany { max: limits::METADATA_TEXTS });
    }
    items.iter().map(|item| read_text(item).ok_or(LicencesError::NotTexts)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Box<str>>, LicencesError> {
        licences_of(format!("{{<<\"name\">>,<<\"a\">>}}.\n{text}").as_bytes())
    }

    #[test]
    fn texts_in_every_form_are_licences() {
        for (value, expected) in [
            ("[]", &[][..]),
            ("nil", &[]),
            ("undefined", &[]),
            (r#"[<<"MIT">>,"ISC"]"#, &["MIT", "ISC"]),
            (r#"<<"MIT">>"#, &["MIT"]),
            (r#""MIT""#, &["MIT"]),
            ("[77,73,84]", &["MIT"]),
            (r#"[<<"\115IT">>]"#, &["MIT"]),
        ] {
            let expected: Vec<Box<str>> = expected.iter().map(|text| (*text).into()).collect();
            assert_eq!(read(&format!("{{<<\"licenses\">>,{value}}}.")), Ok(expected), "{value}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("{<<\"x\">>,whatever}."), Ok(vec![]), "what is wrong elsewhere makes no difference");
    }

    #[test]
    fn what_is_not_sure_is_no_licence_and_not_none() {
        for (text, error) in [
            ("{<<\"licenses\">>,[mit]}.", LicencesError::NotTexts),
            ("{<<\"licenses\">>,[[]]}.", LicencesError::NotTexts),
            ("{<<\"licenses\">>,[<<255>>]}.", LicencesError::NotTexts),
            ("{<<\"licenses\">>,#{}}.", LicencesError::NotTexts),
            ("{<<\"licenses\">>,{}}.", LicencesError::NotTexts),
            ("{<<\"licenses\">>,[]}.{licenses,[]}.", LicencesError::Twice),
            ("{<<\"licenses\">>,[]}.{<<\"licenses\">>,[]}.", LicencesError::Twice),
            ("{\"licenses\",[]}.", LicencesError::NotPairs),
            ("a.", LicencesError::NotPairs),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        for text in [r#"{<<"licenses">>,[<<"\x41">>]}."#, "{<<\"licenses\">>,[]}", "\u{feff}"] {
            assert!(matches!(read(text), Err(LicencesError::Term(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was_written(licences in proptest::collection::vec("[ !#-\\[\\]-~é]{0,12}", 0..4)) {
            let items: Vec<String> = licences.iter().map(|text| format!("<<\"{text}\"/utf8>>")).collect();
            let expected: Vec<Box<str>> = licences.iter().map(|text| text.as_str().into()).collect();
            prop_assert_eq!(read(&format!("{{<<\"licenses\">>,[{}]}}.", items.join(","))), Ok(expected));
        }
    }
}
