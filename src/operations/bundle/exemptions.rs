//! Transfers exemptions for lock files from one server to another in a bundle.

use std::collections::BTreeSet;

use crate::operations::OperationError;
use crate::operations::operator::Operator;
use crate::repository::Repository;
use crate::state::exemptions::HeldSince;
use crate::state::pins::StoredExemption;
use crate::tasks::bundle::manifest::{Exemption, Part};
use crate::tasks::bundle::verify::{Target, VerifiedBundle};

impl From<StoredExemption> for Exemption {
    fn from(owed: StoredExemption) -> Self {
        Self {
            view: owed.view,
            package: owed.package,
            version: owed.version,
            checksum: owed.checksum,
            delivered: owed.delivered,
            licences_known: owed.licences_known,
            advisory_since: owed.held_since.advisory,
            retirement_since: owed.held_since.retirement,
            cooldown_since: owed.held_since.cooldown,
            freeze_since: owed.held_since.freeze,
            licences_since: owed.held_since.licences,
            pinned: owed.pinned,
            pinned_until: owed.pinned_until,
            pinned_by: owed.pinned_by,
            pin_reason: owed.pin_reason,
        }
    }
}

/// Converts an exemption of the repository `there` on the other server to the repository `here` on this server.
fn convert_exemption(exemption: Exemption, there: &str, here: &str) -> StoredExemption {
    StoredExemption {
        view: if exemption.view == there { here.to_owned() } else { exemption.view },
        source: here.to_owned(),
        package: exemption.package,
        version: exemption.version,
        checksum: exemption.checksum,
        delivered: exemption.delivered,
        licences_known: exemption.licences_known,
        held_since: HeldSince {
            cooldown: exemption.cooldown_since,
            freeze: exemption.freeze_since,
            licences: exemption.licences_since,
            advisory: exemption.advisory_since,
            retirement: exemption.retirement_since,
        },
        pinned: exemption.pinned,
        pinned_until: exemption.pinned_until,
        pinned_by: exemption.pinned_by,
        pin_reason: exemption.pin_reason,
    }
}

impl Operator {
    /// The exemptions for the releases in a part of a bundle.
    pub(super) async fn exemptions(&self, part: &Part) -> Result<Vec<Exemption>, OperationError> {
        let releases: BTreeSet<&str> = part.tarballs.iter().map(|tarball| tarball.name.as_str()).collect();
        let packages: BTreeSet<&str> = releases.iter().filter_map(|release| release.split('-').next()).collect();
        let mut exemptions = Vec::new();
        for package in packages {
            let owed = self.state.exemptions_of_package(&part.key, package).await?;
            let is_in_it =
                |one: &StoredExemption| releases.contains(format!("{}-{}", one.package, one.version).as_str());
            exemptions.extend(owed.into_iter().filter(is_in_it).map(Exemption::from));
        }
        Ok(exemptions)
    }

    /// Stores the exemptions of a bundle under the keys of this server's repositories. Returns their number.
    pub(super) async fn import_exemptions(&self, proof: &VerifiedBundle) -> Result<usize, OperationError> {
        let parts = proof.opened.manifest.repositories.iter().zip(&proof.targets);
        let mut all = Vec::new();
        for (part, target) in parts {
            let Target::Remote(remote) = target else { continue };
            let owed = |one| convert_exemption(one, &part.key, remote.key().as_str());
            all.extend(part.exemptions.iter().cloned().map(owed));
        }
        if all.is_empty() {
            return Ok(0);
        }
        self.state.import_exemptions(&all).await?;
        for enforcer in self.repositories().iter().filter_map(Repository::enforcer) {
            enforcer.forget_owed().await;
        }
        self.protect_pinned().await?;
        Ok(all.len())
    }
}
