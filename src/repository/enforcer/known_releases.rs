//! The data about the releases of a package from which decisions are made.

use std::collections::HashMap;
use std::sync::Arc;

use super::AgeProofs;
use super::exemptions::ExemptionsByVersion;
use super::licences::StatedLicences;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::policy::decision_inputs::{DecisionInputs, LockExemption};
use crate::policy::overrides::Override;
use crate::policy::release_facts::{LicenceFacts, ReleaseFacts};

/// The data about the releases of a package.
pub(super) struct Known<'a> {
    pub(super) owed: &'a ExemptionsByVersion,
    pub(super) proofs: &'a AgeProofs,
    pub(super) licences: HashMap<Sha256, StatedLicences>,
    pub(super) waivers: &'a [Override],
}

impl DecisionInputs for Known<'_> {
    fn exemption(&self, release: &ReleaseFacts) -> Option<LockExemption> {
        let checksum = release.checksum()?.to_string();
        let all = self.owed.get(&*release.text)?;
        all.iter().find(|(of, _)| *of == checksum).map(|(_, exemption)| exemption.clone())
    }

    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp> {
        let seen = self.proofs.first_seen.get(&release.text).copied()?;
        // A list that is older than the release does not prove its age.
        let touched = self.proofs.touched.filter(|(_, confirmed_at)| *confirmed_at >= seen);
        Some(touched.map_or(seen, |(updated_at, _)| seen.min(updated_at)))
    }

    fn licences(&self, release: &ReleaseFacts) -> Option<StatedLicences> {
        self.licences.get(&release.checksum()?).map(Arc::clone)
    }

    fn waivers(&self) -> &[Override] {
        self.waivers
    }
}

/// The same data, but licences that were not read count as unreadable.
pub(super) struct Unreadable<'a>(pub(super) &'a Known<'a>);

impl DecisionInputs for Unreadable<'_> {
    fn exemption(&self, release: &ReleaseFacts) -> Option<LockExemption> {
        self.0.exemption(release)
    }

    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp> {
        self.0.proven_since(release)
    }

    fn licences(&self, release: &ReleaseFacts) -> Option<StatedLicences> {
        self.0.licences(release).or_else(|| Some(Arc::new(LicenceFacts::Unreadable("they were not read".into()))))
    }

    fn waivers(&self) -> &[Override] {
        self.0.waivers()
    }
}
