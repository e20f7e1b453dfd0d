//! The names of files in a vault.
//!
//! A name consists of checked parts, so it never leads out of the vault, whatever kind of storage it is.

use std::fmt;

use crate::hex::checksum::Sha256;

/// Longest name of a folder or a file, in bytes, that file systems accept.
const MAX: usize = 255;

/// The name of a file in a vault. Names are sorted by their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VaultName {
    /// `blobs/AB/ABCD…`: the file with this SHA-256.
    Digest(Sha256),
    /// `FOLDER/FILE`.
    Path(VaultPath),
}

/// A folder of a vault: the key of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaultFolder(Box<str>);

/// A file in a folder of a vault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaultPath {
    folder: VaultFolder,
    file: Box<str>,
}

/// The text is not a valid name of a folder or a file in a vault. A valid name has 1 to 255 of the characters `A-Z a-z
/// 0-9 . _ + -`, and not only dots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" cannot be the name of a file in the store")]
pub struct BadName(Box<str>);

fn check(text: &str) -> Result<Box<str>, BadName> {
    let is_sound = (1..=MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
        && !text.bytes().all(|byte| byte == b'.');
    if is_sound { Ok(text.into()) } else { Err(BadName(text.into())) }
}

impl VaultFolder {
    /// The folder of this name.
    ///
    /// # Errors
    /// The text is not a valid name.
    pub fn new(name: &str) -> Result<Self, BadName> {
        check(name).map(Self)
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A file in this folder.
    ///
    /// # Errors
    /// The text is not a valid name.
    pub fn file(&self, name: &str) -> Result<VaultPath, BadName> {
        Ok(VaultPath { folder: self.clone(), file: check(name)? })
    }
}

impl VaultPath {
    /// The folder that it is in.
    pub fn folder(&self) -> &VaultFolder {
        &self.folder
    }

    /// The name without the folder.
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl From<Sha256> for VaultName {
    fn from(digest: Sha256) -> Self {
        Self::Digest(digest)
    }
}

impl From<VaultPath> for VaultName {
    fn from(path: VaultPath) -> Self {
        Self::Path(path)
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => {
                let name = digest.to_string();
                write!(f, "blobs/{}/{name}", name.get(..2).unwrap_or_default())
            }
            Self::Path(VaultPath { folder, file }) => write!(f, "{}/{file}", folder.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_vault() {
        let folder = VaultFolder::new("acme").unwrap();
        let long = "x".repeat(MAX + 1);
        for bad in ["", ".", "..", "...", "a/b", "/a", "a\0b", "a b", "a\n", "\u{e9}", "a\\b", &long] {
            assert!(VaultFolder::new(bad).is_err(), "{bad:?}");
            assert!(folder.file(bad).is_err(), "{bad:?}");
        }
        for good in ["core-1.0.0-rc.1+b.json", ".x", "a..b", "A_b", long.get(..MAX).unwrap()] {
            assert_eq!(VaultName::from(folder.file(good).unwrap()).to_string(), format!("acme/{good}"));
        }
        let digest = Sha256::of(b"x");
        let text = digest.to_string();
        assert_eq!(VaultName::from(digest).to_string(), format!("blobs/{}/{text}", text.get(..2).unwrap()));
    }
}
