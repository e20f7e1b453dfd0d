//! Text of strangers, as pages and terminals show it. Pure.

use std::borrow::Cow;

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

/// A text of several lines as a terminal is given it: ends of lines, tabs and backslashes are as they are; what a terminal acts on,
/// what turns the direction of a line and what is invisible is written as `\u{202e}`.
pub fn on_a_terminal(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| {
        let is_shown = matches!(c, '\n' | '\t') || is_shown_in_text(c);
        escaped_unless(is_shown, c)
    };
    Cow::Owned(text.chars().flat_map(shown).collect())
}

/// A character of a text that is quoted within a line: as [`on_a_terminal`], with ends of lines and tabs escaped.
pub fn within_a_line(c: char) -> impl Iterator<Item = char> {
    escaped_unless(is_shown_in_text(c), c)
}

fn escaped_unless(is_shown: bool, c: char) -> impl Iterator<Item = char> {
    let plain = is_shown.then_some(c);
    let escaped = (!is_shown).then(|| c.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Whether a character is seen in a text, perhaps as a part of the letter before it.
fn is_shown_in_text(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut behind_a_letter = String::from("a");
    behind_a_letter.push(c);
    !BLANK.contains(&c) && behind_a_letter.escape_debug().eq(behind_a_letter.chars())
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

    #[test]
    fn a_terminal_shows_what_it_would_act_on() {
        for text in ["a\tb\nc\\d \"e\" 'f'", "Jörg", "e\u{301}", "名前 🔑", "हिन्दी"] {
            assert_eq!(on_a_terminal(text), text);
        }
        assert_eq!(on_a_terminal("\u{1b}[31mred\u{7}\r"), "\\u{1b}[31mred\\u{7}\\r");
        for c in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}', '\u{9b}', '\u{feff}', '\u{200b}', '\u{3164}'] {
            assert!(on_a_terminal(&format!("x{c}")).is_ascii(), "{c:?}");
        }
        assert_eq!(['a', '\n', '\t', '\\'].into_iter().flat_map(within_a_line).collect::<String>(), "a\\n\\t\\");
    }

    proptest::proptest! {
        #[test]
        fn no_terminal_acts_on_a_text(text in "\\PC*|.*|(?s).*") {
            let shown = on_a_terminal(&text);
            proptest::prop_assert!(shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
            proptest::prop_assert_eq!(on_a_terminal(&shown), shown.clone());
        }

        #[test]
        fn what_is_shown_has_no_disguise(text in "\\PC*|.*") {
            let once = shown(&text);
            proptest::prop_assert!(is_plain(&once), "{once:?}");
            proptest::prop_assert!(!once.contains(char::is_control));
        }
    }
}
