//! Reads metadata leniently, for display.

use std::collections::BTreeMap;

use super::{READING, elixir, links, optional_text, pairs, texts};

/// The metadata that is displayed to users. Fields that violate the current rules are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisplayMetadata {
    /// The OTP application.
    pub app: Option<Box<str>>,
    /// The description.
    pub description: Option<Box<str>>,
    /// Licences, as written.
    pub licenses: Vec<Box<str>>,
    /// The links: name → http or https URL.
    pub links: BTreeMap<String, String>,
    /// The maintainers; deprecated.
    pub maintainers: Vec<Box<str>>,
    /// The build tools, such as `mix` and `rebar3`.
    pub build_tools: Vec<Box<str>>,
    /// The requirement for the version of Elixir.
    pub elixir: Option<Box<str>>,
}

impl DisplayMetadata {
    /// Reads the valid fields; `None` if the whole text is invalid.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let _alone = READING.lock();
        let pairs = pairs(bytes).ok()?;
        Some(Self {
            app: optional_text(&pairs, "app").ok().flatten(),
            description: optional_text(&pairs, "description").ok().flatten(),
            licenses: texts(&pairs, "licenses").unwrap_or_default(),
            links: links(&pairs).unwrap_or_default(),
            maintainers: texts(&pairs, "maintainers").unwrap_or_default(),
            build_tools: texts(&pairs, "build_tools").unwrap_or_default(),
            elixir: elixir(&pairs).ok().flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_part_is_left_out_and_the_rest_is_read() {
        let told = DisplayMetadata::read(
            b"{<<\"app\">>,<<\"jason\">>}.\n{<<\"description\">>,7}.\n{<<\"licenses\">>,[<<\"MIT\">>]}.\n\
              {<<\"links\">>,[{<<\"x\">>,<<\"javascript:alert()\">>}]}.\n{<<\"elixir\">>,<<\"not one\">>}.\n",
        )
        .unwrap();
        let expected =
            DisplayMetadata { app: Some("jason".into()), licenses: vec!["MIT".into()], ..DisplayMetadata::default() };
        assert_eq!(told, expected);
        assert_eq!(DisplayMetadata::read(b"{<<\"app\">>,"), None);
    }
}
