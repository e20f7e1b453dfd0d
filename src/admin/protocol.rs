//! What goes over the administration socket: JSON objects, one a line where there are several.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::commands::Outcome;
use crate::tasks::scrub::Findings;

/// `POST /purge`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// Repository key.
    pub repository: String,
    /// A package; everything where it is left out.
    pub package: Option<String>,
    /// A version of the package.
    pub version: Option<String>,
}

/// What a purge removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Registry resources.
    pub resources: usize,
    /// Tarballs.
    pub tarballs: usize,
    /// Docs.
    pub docs: usize,
}

/// A public key of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Id in the configuration; `upstream` for a key that is not ours.
    pub id: String,
    /// SPKI PEM.
    pub pem: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// `POST /import`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Key of the local repository.
    pub repository: String,
    /// Where the packages are, as an absolute path.
    pub folder: PathBuf,
}

/// `POST /verify-store`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyStore {
    /// Remove what is not sound.
    pub repair: bool,
}

/// Progress of a scrub or an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// So many things will be looked at.
    Total(u64),
    /// So many have been.
    Done(u64),
    /// One is not what it claims to be.
    Damaged(String),
}

/// The end of a scrub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Of the cache.
    pub findings: Findings,
    /// What the database says of itself; empty where it is sound.
    pub database: Vec<String>,
}

impl Report {
    /// Whether nothing bad is left.
    pub fn is_sound(&self) -> bool {
        self.findings.is_sound() && self.database.is_empty()
    }
}

/// One line of the answer to `POST /verify-store` or `POST /import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Progress.
    Event(Event),
    /// The end of a scrub.
    Report(Report),
    /// The end of an import.
    Outcome(Outcome),
    /// The end, for another reason.
    Failure(String),
}
