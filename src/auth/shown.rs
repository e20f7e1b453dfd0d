//! Text of strangers, as pages and terminals show it. Pure.

use crate::hex::limits;

/// Letters and symbols that fonts show as nothing.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// A text with nothing in it that a page or a terminal does not show as what it is: controls, marks of direction, ends of
/// lines and invisible characters are written as `\u{202e}`.
pub fn shown(text: &str) -> String {
    text.chars().flat_map(shown_char).collect()
}

/// Whether a text is shown as what it is; it may hold backslashes.
pub fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c == '\\' || shown_char(c).eq([c]))
}

/// What a client calls itself, as it is stored and shown: short as well.
pub(super) fn said(text: &str) -> String {
    let begin: String = text.chars().take(limits::PROGRAM_NAME).collect();
    let rest = if begin.len() < text.len() { "…" } else { "" };
    format!("{}{rest}", shown(&begin))
}

fn shown_char(c: char) -> impl Iterator<Item = char> {
    let (plain, blank, other) = match c {
        '\'' | '"' => (Some(c), None, None),
        _ if BLANK.contains(&c) => (None, Some(c.escape_unicode()), None),
        _ => (None, None, Some(c.escape_debug())),
    };
    plain.into_iter().chain(blank.into_iter().flatten()).chain(other.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_shown_as_it_is() {
        for text in ["ci", "laptop of Jörg", "a/b%2e 100%", "it's \"x\"", "名前", ".", "🔑"] {
            assert!(is_plain(text), "{text}");
            assert_eq!(shown(text), text);
        }
        assert!(is_plain("a\\b"));
        assert_eq!(shown("a\\b"), "a\\\\b");
        for c in [
            '\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}', '\u{85}', '\u{feff}', '\u{200b}', '\u{ad}', '\u{3164}',
            '\t',
        ] {
            let text = format!("ci{c}");
            assert!(!is_plain(&text), "{c:?}");
            assert!(shown(&text).is_ascii(), "{c:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_has_no_disguise(text in "\\PC*|.*") {
            let once = shown(&text);
            proptest::prop_assert!(is_plain(&once), "{once:?}");
            proptest::prop_assert!(!once.contains(char::is_control));
        }
    }
}
