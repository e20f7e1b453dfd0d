//! What is known of the releases of a package, for the decision about them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Proofs;
use super::book::Owed;
use super::licences::Stated;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::policy::facts::{Licences, ReleaseFacts};
use crate::policy::knowledge::{Exemption, Knowledge};
use crate::policy::overrides::Override;

/// What is known of the releases of a package.
pub(super) struct Known<'a> {
    pub(super) owed: &'a Owed,
    pub(super) proofs: &'a Proofs,
    pub(super) licences: HashMap<Sha256, Stated>,
    pub(super) waivers: &'a [Override],
}

impl Knowledge for Known<'_> {
    fn exemption(&self, release: &ReleaseFacts) -> Option<Exemption> {
        let checksum = release.checksum()?.to_string();
        let all = self.owed.get(&*release.text)?;
        all.iter().find(|(of, _)| *of == checksum).map(|(_, exemption)| exemption.clone())
    }

    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp> {
        let seen = self.proofs.first_seen.get(&release.text).copied()?;
        // A list that is older than the release says nothing about it.
        let touched = self.proofs.touched.filter(|(_, confirmed_at)| *confirmed_at >= seen);
        Some(touched.map_or(seen, |(updated_at, _)| seen.min(updated_at)))
    }

    fn licences(&self, release: &ReleaseFacts) -> Option<Stated> {
        self.licences.get(&release.checksum()?).map(Arc::clone)
    }

    fn waivers(&self) -> &[Override] {
        self.waivers
    }
}

/// The same, where licences that were not read are taken for ones that cannot be read.
pub(super) struct Unreadable<'a>(pub(super) &'a Known<'a>);

impl Knowledge for Unreadable<'_> {
    fn exemption(&self, release: &ReleaseFacts) -> Option<Exemption> {
        self.0.exemption(release)
    }

    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp> {
        self.0.proven_since(release)
    }

    fn licences(&self, release: &ReleaseFacts) -> Option<Stated> {
        self.0.licences(release).or_else(|| Some(Arc::new(Licences::Unreadable("they were not read".into()))))
    }

    fn waivers(&self) -> &[Override] {
        self.0.waivers()
    }
}
