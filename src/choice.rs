//! Choices of a few values, each with the word for it.
//!
//! A configuration reads and prints these words, and what refuses another word lists them. All of that follows from one
//! place: where the values are written down.

/// One of a few values, each with its word.
pub trait Choice: Copy + 'static {
    /// Every value that can be written, in the order in which sentences list them.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;

    /// The value of a word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }

    /// Every word.
    fn words() -> Vec<&'static str> {
        Self::ALL.iter().map(|value| value.word()).collect()
    }
}

/// Makes an enum of values with a word each: `enum Network { Strict = "strict", Offline = "offline" }`. Behind a semicolon
/// come values that cannot be written and have a word all the same.
macro_rules! choice {
    ($(#[$about:meta])* $visible:vis enum $name:ident {
        $($(#[$about_value:meta])* $value:ident = $word:literal,)+
        $(; $($(#[$about_other:meta])* $other:ident = $other_word:literal,)+)?
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visible enum $name {
            $($(#[$about_value])* $value,)+
            $($($(#[$about_other])* $other,)+)?
        }

        impl $crate::choice::Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                    $($(Self::$other => $other_word,)+)?
                }
            }
        }
    };
}

pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    choice! {
        /// Two ways.
        enum Way {
            /// To the left.
            Left = "left",
            Nowhere = "no_way",
            ;
            /// Nobody knows.
            Unknown = "unknown",
        }
    }

    #[test]
    fn words_are_read_as_they_are_printed() {
        assert_eq!(Way::words(), ["left", "no_way"]);
        for way in Way::ALL {
            assert_eq!(Way::from_word(way.word()), Some(*way));
        }
        assert_eq!(Way::from_word("Left"), None);
        assert_eq!(Way::Nowhere.word(), "no_way");
        assert_eq!((Way::Unknown.word(), Way::from_word("unknown")), ("unknown", None));
    }
}
