//! The names of packages, repositories and policies.
//!
//! A name is validated once, when it is parsed. After that it is safe to use in a path, a log line or a map key: it
//! contains no slash, no `..`, no upper-case letter and no control character.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::limits;

/// The first segment of the URLs of web pages. No repository can have this key, so that the URLs never conflict.
pub const PAGES: &str = "ui";

/// The name of the public registry in clients: of the repository that they use unless a dependency has another one.
pub const HEXPM: &str = "hexpm";

/// The kind of a name; part of [`NameError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A package: `^[a-z][a-z0-9_]*$`, at most [`limits::PACKAGE_NAME`] bytes.
    Package,
    /// A repository: `^[a-z0-9][a-z0-9_-]{1,63}$`.
    Repository,
    /// A policy: `^[a-z0-9_.-]{3,64}$`, but not only dots.
    Policy,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::Repository => "repository",
            Self::Policy => "policy",
        })
    }
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too few bytes.
    #[error("a {kind} name must have at least {min} characters, but this one has {length}")]
    TooShort { kind: NameKind, length: usize, min: usize },
    /// Too many bytes.
    #[error("a {kind} name can have at most {max} characters, but this one has {length}")]
    TooLong { kind: NameKind, length: usize, max: usize },
    /// A character that such a name cannot have, or not in this place.
    #[error("{name:?} is not a {kind} name: {rule}")]
    Characters { kind: NameKind, name: Box<str>, rule: &'static str },
}

struct Grammar {
    kind: NameKind,
    min: usize,
    max: usize,
    rule: &'static str,
    first: fn(u8) -> bool,
    rest: fn(u8) -> bool,
}

const PACKAGE: Grammar = Grammar {
    kind: NameKind::Package,
    min: 1,
    max: limits::PACKAGE_NAME,
    rule: "it must begin with a lower-case letter and contain only lower-case letters, digits and underscores",
    first: |byte| byte.is_ascii_lowercase(),
    rest: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_',
};

const REPOSITORY: Grammar = Grammar {
    kind: NameKind::Repository,
    min: 2,
    max: limits::REPO_NAME,
    rule: "it must begin with a lower-case letter or a digit and contain only lower-case letters, digits, underscores and hyphens",
    first: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
    rest: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'),
};

const POLICY: Grammar = Grammar {
    kind: NameKind::Policy,
    min: 3,
    max: limits::POLICY_NAME,
    rule: "it must contain only lower-case letters, digits, underscores, dots and hyphens, and not only dots",
    first: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-'),
    rest: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-'),
};

impl Grammar {
    fn check(&self, text: &str) -> Result<(), NameError> {
        let (kind, length) = (self.kind, text.len());
        if length < self.min {
            return Err(NameError::TooShort { kind, length, min: self.min });
        }
        if length > self.max {
            return Err(NameError::TooLong { kind, length, max: self.max });
        }
        let mut bytes = text.bytes();
        let begins_well = bytes.next().is_some_and(self.first);
        if begins_well && bytes.all(self.rest) && text.bytes().any(|byte| byte != b'.') {
            Ok(())
        } else {
            Err(NameError::Characters { kind, name: text.into(), rule: self.rule })
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $grammar:ident) => {
        $(#[$doc])*
        ///
        /// Cheap to clone. Compares and hashes like its text, so a map with this key can be queried with a `&str`.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Whether `text` is a valid name. Does not allocate.
            pub fn is_valid(text: &str) -> bool {
                $grammar.check(text).is_ok()
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text of the name, as a shared pointer.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $grammar.check(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a package: `^[a-z][a-z0-9_]*$`, at most [`limits::PACKAGE_NAME`] bytes.
    PackageName, PACKAGE
}

name! {
    /// The name of a repository: `^[a-z0-9][a-z0-9_-]{1,63}$`.
    RepoName, REPOSITORY
}

name! {
    /// The name of a policy: `^[a-z0-9_.-]{3,64}$`, but not only dots, which would be a folder in a path.
    PolicyName, POLICY
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;
    use crate::hex::strategies;

    #[test]
    fn good_names_are_taken() {
        for name in ["a", "jason", "phoenix_live_view", "p1_utils", &"x".repeat(128)] {
            assert_eq!(name.parse::<PackageName>().expect(name).as_str(), name);
        }
        for name in ["hexpm", "9lives", "my-repo_2", "ab", &"r".repeat(64)] {
            assert_eq!(name.parse::<RepoName>().expect(name).as_str(), name);
        }
        for name in ["strict", "a.b", "...x", "___", &"p".repeat(64)] {
            assert_eq!(name.parse::<PolicyName>().expect(name).as_str(), name);
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "1a", "_a", "A", "aB", "a-b", "a.b", "a/b", "a\n", "é", "a ", "..", &"x".repeat(129)] {
            assert!(name.parse::<PackageName>().is_err(), "{name:?}");
            assert!(!PackageName::is_valid(name), "{name:?}");
        }
        for name in ["", "a", "-a", "_a", "Ab", "a.b", "hexpm:acme", "ab\n", "a/b", "..", &"r".repeat(65)] {
            assert!(name.parse::<RepoName>().is_err(), "{name:?}");
        }
        for name in ["", "ab", "...", "....", "Abc", "a/b", "abc\n", &"p".repeat(65)] {
            assert!(name.parse::<PolicyName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let error = "Jason".parse::<PackageName>().unwrap_err();
        assert!(error.to_string().starts_with("\"Jason\" is not a package name: it must begin with"), "{error}");
        let error = "r".repeat(65).parse::<RepoName>().unwrap_err();
        assert_eq!(error.to_string(), "a repository name can have at most 64 characters, but this one has 65");
    }

    #[test]
    fn maps_can_be_asked_with_text() {
        let name: PackageName = "jason".parse().unwrap();
        assert_eq!(HashMap::from([(name.clone(), 1)]).get("jason"), Some(&1));
        assert_eq!(BTreeMap::from([(name, 1)]).get("jason"), Some(&1));
    }

    proptest! {
        #[test]
        fn names_print_what_they_were_read_from(
            package in strategies::package_name(), repo in strategies::repo_name(), policy in strategies::policy_name(),
        ) {
            prop_assert_eq!(package.to_string().parse::<PackageName>(), Ok(package));
            prop_assert_eq!(repo.to_string().parse::<RepoName>(), Ok(repo));
            prop_assert_eq!(policy.to_string().parse::<PolicyName>(), Ok(policy));
        }

        #[test]
        fn no_text_panics_and_no_name_leaves_its_folder(text in "\\PC*") {
            for name in [
                text.parse::<PackageName>().map(|name| name.to_string()),
                text.parse::<RepoName>().map(|name| name.to_string()),
                text.parse::<PolicyName>().map(|name| name.to_string()),
            ].into_iter().flatten() {
                prop_assert!(!name.contains('/') && name != ".." && name != ".");
            }
        }
    }
}
