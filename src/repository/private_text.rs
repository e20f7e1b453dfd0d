//! Checks whether a text from a client contains a private name. Such a text must not be sent to a public upstream.
//!
//! Names are recognized as people write them: in any case, with any characters between the parts, in quotes, within a
//! longer text, with wildcards.

use super::{NameRules, Repository, RequestContext};
use crate::auth::contains_secret;
use crate::hex::index::names_entries;
use crate::hex::resource::RegistryResource;

/// Shorter names only match whole words: otherwise they would be in nearly every text.
const SHORTEST_PART: usize = 4;

/// How many words are joined to find names of several parts; a text with more words is assumed to contain any name.
const MOST_WORDS: usize = 24;

/// The characters that end the literal beginning of a pattern.
const WILD: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Maximum length of a text that is sent upstream.
const LONGEST: usize = 128;

/// A text, prepared for the comparison with names.
#[derive(Clone, Debug)]
pub struct TypedText {
    /// In lower case; each run of characters other than letters and digits is one underscore, with one at both ends.
    words: String,
    /// Consecutive words, joined.
    runs: Vec<String>,
    /// Its letters and digits only.
    letters: String,
    /// Words with asterisks, as they were written, in lower case.
    wildcards: Vec<String>,
    /// Whether it is too long to be compared, has characters that cannot be compared, or contains a credential of this
    /// server.
    is_opaque: bool,
}

impl TypedText {
    /// Prepares a text for the comparison with names.
    pub fn of(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let is_opaque = words.len() > MOST_WORDS || !is_plain(text) || contains_secret(text);
        let mut runs = Vec::new();
        for first in 0..words.len().min(MOST_WORDS) {
            for last in first..words.len().min(MOST_WORDS) {
                runs.push(words.get(first..=last).unwrap_or_default().join("_"));
            }
        }
        let wildcards = lower.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '*'));
        let has_more = |word: &&str| word.contains('*') && word.contains(|c: char| c.is_ascii_alphanumeric());
        let wildcards = wildcards.filter(has_more).map(str::to_owned).collect();
        Self { words: format!("_{}_", words.join("_")), runs, letters: words.concat(), wildcards, is_opaque }
    }

    /// Whether it may be sent to a public upstream at all: it has to be short, and may only have the characters of
    /// usual searches. Other characters could hide a name (another script, nested encodings). A key or token of this
    /// server is never sent.
    pub fn may_be_sent(&self) -> bool {
        !self.is_opaque
    }

    /// Whether it contains this package name: as one or several words, within a longer word, with any or no characters
    /// between its parts. The beginning of a name is enough if it has more than one part, and so is a matching
    /// wildcard.
    pub fn contains_name(&self, package: &str) -> bool {
        let parts: Vec<&str> = package.split('_').filter(|part| !part.is_empty()).collect();
        let name = parts.join("_");
        let is_begun = |run: &String| run.contains('_') && name.starts_with(run.as_str());
        self.is_opaque
            || self.words.contains(&format!("_{name}_"))
            || (name.len() >= SHORTEST_PART && self.words.contains(&name))
            || (parts.len() > 1 && self.has_letters(&name))
            || self.runs.iter().any(is_begun)
            || self.wildcards.iter().any(|wildcard| fits(wildcard, package))
    }

    /// Whether it contains these letters and digits in this order, with only other characters between them.
    fn has_letters(&self, text: &str) -> bool {
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        letters.len() >= SHORTEST_PART && self.letters.contains(&letters)
    }

    /// Whether it contains a name that these patterns match, or could match with more text before or behind it.
    pub fn names_any_of(&self, rules: &NameRules, patterns: &[String]) -> bool {
        if patterns.is_empty() {
            return false;
        }
        let more = |part: &str| [part.to_owned(), format!("{part}_x"), format!("x_{part}")];
        let matches = |part: &str| more(part).iter().any(|name| rules.allows(name));
        // Also within a word: from each character to the end of each word.
        let within = |run: &String| run.char_indices().any(|(at, _)| run.get(at..).is_some_and(matches));
        let start = |pattern: &String| pattern.split(WILD).next().unwrap_or_default().to_owned();
        let has_start = |pattern: &String| self.has_letters(&start(pattern));
        let may_fit = |wildcard: &String| {
            patterns.iter().any(|pattern| {
                let start = start(pattern);
                let mut pieces = wildcard.split('*').filter(|piece| !piece.is_empty());
                let piece = pieces.next().unwrap_or_default();
                match wildcard.starts_with('*') {
                    true => start.is_empty() || start.contains(piece) || piece.contains(&start),
                    false => start.starts_with(piece) || piece.starts_with(&start),
                }
            })
        };
        self.is_opaque
            || self.runs.iter().any(within)
            || patterns.iter().any(has_start)
            || self.wildcards.iter().any(may_fit)
    }
}

/// The characters of usual searches: words, versions, dates, `key:value`, quotes, wildcards.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" _-.:*\"',/+@#".contains(&byte);
    text.len() <= LONGEST && text.bytes().all(plain)
}

/// Whether a name matches a text in which an asterisk stands for anything.
fn fits(wildcard: &str, name: &str) -> bool {
    let mut pieces = wildcard.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = "";
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        (rest, last) = (behind, piece);
    }
    // The last piece has to match the end, even if it also occurs before.
    last.is_empty() || name.ends_with(last)
}

impl Repository {
    /// Whether a text contains a private name of this repository: a package of a local or private remote one, or a name
    /// that members of a virtual one claim or its `reserve` matches. If this cannot be determined, it is assumed.
    pub(in crate::repository) async fn is_named_privately(&self, text: &TypedText, context: RequestContext) -> bool {
        match self {
            Self::Remote(remote) => remote.is_named_privately(text, context).await,
            Self::Virtual(composed) => composed.is_named_privately(text, context).await,
            Self::Local(local) => {
                let Ok(served) = local.whole(&RegistryResource::Names).await else { return true };
                let payload = served.value.0.bytes();
                payload.map_or(true, |payload| names_entries(&payload).any(|entry| text.contains_name(entry.name)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSet, GlobSetBuilder};
    use proptest::prelude::*;

    use super::*;

    fn reserved(patterns: &[&str]) -> (NameRules, Vec<String>) {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).unwrap());
        }
        let rules = NameRules { include: set.build().unwrap(), exclude: GlobSet::empty(), everything: false };
        (rules, patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        for text in [
            "acme_secret",
            "ACME_SECRET",
            "Acme_Secret",
            " acme_secret ",
            "\"acme_secret\"",
            "name:acme_secret",
            "name:ACME_SECRET*",
            "name:acme*",
            "name:*secret",
            "name:*ME_SEC*",
            "name:a*t",
            "acme-secret",
            "acme secret",
            "acme.secret",
            "ACME__SECRET",
            "acmesecret",
            "a c m e s e c r e t",
            "is there an acme_secret somewhere",
            "myacme_secrets",
            "depends:hexpm:acme_secret",
            "acme_sec",
            "acme%5fsecret",
            "acme%255fsecret",
            "ａｃｍｅ＿ｓｅｃｒｅｔ",
            "acme_\u{17f}ecret",
            "acme_secret\0",
            "acme\u{200b}_secret",
        ] {
            assert!(TypedText::of(text).contains_name("acme_secret"), "{text:?}");
        }
        for text in ["", "json", "secret", "acme", "plug", "name:jason*", "*", "name:*", "acme_core", "se cret"] {
            assert!(!TypedText::of(text).contains_name("acme_secret"), "{text:?}");
            assert!(TypedText::of(text).may_be_sent(), "{text:?}");
        }
        // A short name has to be a word of its own.
        assert!(TypedText::of("the ui kit").contains_name("ui") && TypedText::of("UI").contains_name("ui"));
        assert!(!TypedText::of("build").contains_name("ui"));
        assert!(!TypedText::of(&"x ".repeat(65)).may_be_sent() && !TypedText::of("b\u{fc}cher").may_be_sent());
    }

    #[test]
    fn a_reserve_is_found_however_it_is_written() {
        let (rules, patterns) = reserved(&["acme_*", "*_internal", "corp?x"]);
        for text in [
            "acme_new",
            "ACME_NEW",
            "acme",
            "acme_",
            "name:ACME*",
            "name:ac*",
            "\"acme new\"",
            "my acme-tool",
            "notacme_tool",
            "acmenew",
            "ac me new",
            "tool_internal",
            "TOOL INTERNAL",
            "name:*internal*",
            "corp1x",
        ] {
            assert!(TypedText::of(text).names_any_of(&rules, &patterns), "{text:?}");
        }
        let (rules, patterns) = reserved(&["acme_*"]);
        for text in ["", "json", "plug_crypto", "name:json*", "acm", "tool_internal"] {
            assert!(!TypedText::of(text).names_any_of(&rules, &patterns), "{text:?}");
        }
        let (rules, patterns) = reserved(&[]);
        assert!(!TypedText::of("acme").names_any_of(&rules, &patterns));
    }

    proptest! {
        #[test]
        fn no_text_around_a_name_hides_it(
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
            upper in prop::collection::vec(any::<bool>(), 11),
        ) {
            let name: String =
                "acme_secret".chars().zip(upper).map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c }).collect();
            let text = format!("{before}{name}{after}");
            prop_assert!(TypedText::of(&text).contains_name("acme_secret"), "{}", text);
            let (rules, patterns) = reserved(&["acme_*"]);
            prop_assert!(TypedText::of(&text).names_any_of(&rules, &patterns), "{}", text);
        }

        #[test]
        fn any_text_is_taken_apart(text in "\\PC{0,300}") {
            let text = TypedText::of(&text);
            text.contains_name("acme_secret");
        }
    }
}
