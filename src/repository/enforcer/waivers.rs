//! Waivers: exceptions from a policy that people grant while the daemon runs. They are stored in the database.

use std::sync::Arc;

use parking_lot::RwLock;

use super::{Enforcer, failed};
use crate::clock::Timestamp;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::policy::overrides::{Effect, Override};
use crate::repository::RepoError;
use crate::state::StateError;
use crate::state::audit::Actor;
use crate::state::waivers::{NewWaiver, Waiver};

/// The waivers that were read last; `None` if they have to be read.
#[derive(Debug, Default)]
pub(super) struct Waived {
    known: RwLock<Option<Arc<Vec<Override>>>>,
    /// Allows one reader at a time, so that old waivers are not stored here after new ones were written.
    one: tokio::sync::Mutex<()>,
}

impl Waived {
    pub(super) fn forget(&self) {
        *self.known.write() = None;
    }
}

impl Enforcer {
    /// The active waivers, as overrides of the policy.
    pub async fn waivers(&self) -> Result<Arc<Vec<Override>>, RepoError> {
        let known = || self.waived.known.read().clone();
        if let Some(known) = known() {
            return Ok(known);
        }
        let _one = self.waived.one.lock().await;
        if let Some(known) = known() {
            return Ok(known);
        }
        let all = self.state.waivers(self.view.as_str(), self.shared.clock.now()).await.map_err(failed)?;
        let all = Arc::new(all.iter().filter_map(exception).collect::<Vec<_>>());
        *self.waived.known.write() = Some(Arc::clone(&all));
        Ok(all)
    }

    /// Waives the rules for releases until a time, unless an override denies them. Returns the number of the waiver.
    pub async fn waive(
        &self,
        package: &PackageName,
        requirement: Option<&Requirement>,
        until: Timestamp,
        reason: &str,
        by: &Actor,
    ) -> Result<i64, StateError> {
        let requirement = requirement.map(Requirement::as_str);
        let new = NewWaiver { package: package.as_str(), requirement, until, reason };
        let _one = self.waived.one.lock().await;
        let id = self.state.waive(self.view.as_str(), new, self.shared.clock.now(), by).await?;
        self.waived.forget();
        self.forget_judgements();
        Ok(id)
    }

    /// Ends a waiver before its time; returns whether it existed.
    pub async fn withdraw(&self, id: i64, by: &Actor) -> Result<bool, StateError> {
        let _one = self.waived.one.lock().await;
        let found = self.state.withdraw(self.view.as_str(), id, self.shared.clock.now(), by).await?;
        self.waived.forget();
        self.forget_judgements();
        Ok(found)
    }

    /// The active waivers, as they were given.
    pub async fn given_waivers(&self) -> Result<Vec<Waiver>, StateError> {
        self.state.waivers(self.view.as_str(), self.shared.clock.now()).await
    }
}

/// A waiver that another version has written and this one cannot read has no effect.
fn exception(waiver: &Waiver) -> Option<Override> {
    Some(Override {
        effect: Effect::Allow,
        package: waiver.package.parse().ok()?,
        requirement: waiver.requirement.as_deref().map(Requirement::with_unequal).transpose().ok()?,
        until: Some(waiver.until),
        reason: Some(waiver.reason.clone()),
        by: waiver.given_by.clone(),
    })
}
