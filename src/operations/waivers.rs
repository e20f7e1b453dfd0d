//! Waivers: exempt releases from a policy until a given time.

use serde::{Deserialize, Serialize};

use super::operator::Operator;
use super::outcome::Text;
use super::pins::check_reason;
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::display_text::shown;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::policy::date_time;
use crate::state::audit::Actor;
use crate::state::waivers::Waiver;

/// The result of a waiver command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaiverOutcome {
    /// A waiver was created.
    Given {
        /// Key of the repository.
        repository: String,
        /// Number of the waiver, with which it can be withdrawn.
        number: i64,
        /// Name of the package.
        package: String,
        /// Requirement that the versions must meet; `None`: all versions.
        requirement: Option<String>,
        /// Time at which it expires.
        until: Timestamp,
    },
    /// The active waivers.
    Listed(Vec<ListedWaiver>),
    /// A waiver was withdrawn.
    Withdrawn {
        /// Key of the repository.
        repository: String,
        /// Number of the waiver.
        number: i64,
    },
}

/// A waiver in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedWaiver {
    /// Number of the waiver, with which it can be withdrawn.
    pub number: i64,
    /// Name of the package.
    pub package: String,
    /// Requirement that the versions must meet; `None`: all versions.
    pub requirement: Option<String>,
    /// Time at which it expires.
    pub until: Timestamp,
    /// Account that created it.
    pub given_by: Option<String>,
    /// Reason.
    pub reason: String,
}

impl From<Waiver> for ListedWaiver {
    fn from(waiver: Waiver) -> Self {
        let Waiver { id: number, package, requirement, until, reason, given_by, .. } = waiver;
        Self { number, package, requirement, until, given_by, reason }
    }
}

impl ListedWaiver {
    fn line(&self) -> String {
        let Self { number, package, until, .. } = self;
        let (requirement, by) = (self.requirement.as_deref().unwrap_or("-"), self.given_by.as_deref().unwrap_or("-"));
        let reason = shown(&self.reason);
        format!("{number}\t{package}\t{requirement}\t{until}\t{by}\t{reason}")
    }
}

impl WaiverOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Given { repository, number, package, requirement, until } => {
                let releases = requirement.as_ref().map(|one| format!(" {one}")).unwrap_or_default();
                let remark = format!(
                    "waived {package}{releases} for `{repository}` until {}; releases that the policy denies stay held",
                    date_time::print_end(*until)
                );
                Text { remarks: vec![remark], ..Text::line(number.to_string()) }
            }
            Self::Listed(waivers) => Text::lines(waivers.iter().map(ListedWaiver::line)),
            Self::Withdrawn { repository, number } => {
                Text::remark(format!("withdrew waiver {number} of `{repository}`"))
            }
        }
    }
}

impl Operator {
    /// Creates a waiver for a package. With a requirement, it covers only matching versions.
    pub(super) async fn waive(
        &self,
        key: String,
        (package, requirement): (&str, Option<&str>),
        until: &str,
        reason: &str,
        by: &Actor,
    ) -> Result<WaiverOutcome, OperationError> {
        let (_, enforcer) = self.policed(&key)?;
        check_reason(reason)?;
        let package: PackageName = package.parse().map_err(Refusal::from)?;
        let until = self.future_time(until)?;
        let requirement = match requirement {
            None => None,
            Some(text) => {
                let requirement = Requirement::with_unequal(text).map_err(Refusal::from)?;
                let can_match = Some(requirement).filter(Requirement::can_match);
                Some(can_match.ok_or_else(|| Refusal::MatchesNothing(text.to_owned()))?)
            }
        };
        let number = enforcer.waive(&package, requirement.as_ref(), until, reason, by).await?;
        let requirement = requirement.map(|one| one.as_str().to_owned());
        Ok(WaiverOutcome::Given { repository: key, number, package: package.to_string(), requirement, until })
    }

    /// The active waivers of a repository's policy.
    pub(super) async fn waivers(&self, key: &str) -> Result<WaiverOutcome, OperationError> {
        let (_, enforcer) = self.policed(key)?;
        let found = enforcer.given_waivers().await?;
        Ok(WaiverOutcome::Listed(found.into_iter().map(ListedWaiver::from).collect()))
    }

    pub(super) async fn withdraw(&self, key: String, number: i64, by: &Actor) -> Result<WaiverOutcome, OperationError> {
        let (_, enforcer) = self.policed(&key)?;
        match enforcer.withdraw(number, by).await? {
            true => Ok(WaiverOutcome::Withdrawn { repository: key, number }),
            false => Err(Refusal::NoWaiver { repository: key, number }.into()),
        }
    }
}
