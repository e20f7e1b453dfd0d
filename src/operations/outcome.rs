//! What came of an order or a work, and what people are told of it.

use serde::{Deserialize, Serialize};

use super::audit::AuditLines;
use super::backup::{BackedUp, Restored};
use super::bundle::BundleOutcome;
use super::client_setup::ClientLines;
use super::explain::Explained;
use super::fetches::{FetchReport, HeldReport};
use super::grants::GrantOutcome;
use super::import::Imported;
use super::keys::KeyOutcome;
use super::mirror::MirrorOutcome;
use super::organizations::OrganizationOutcome;
use super::pins::PinOutcome;
use super::policies::{PolicyExplanation, PolicyTestReport};
use super::prefetch::Prefetched;
use super::releases::ReleaseOutcome;
use super::space::{CollectOutcome, Stats};
use super::users::UserOutcome;
use super::verify_store::Scrubbed;
use super::waivers::WaiverOutcome;

/// What people are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Text {
    /// What was asked for, line by line.
    pub lines: Vec<String>,
    /// What else is to be said.
    pub remarks: Vec<String>,
    /// Whether a part of it failed, which the remarks say.
    pub failed: bool,
}

impl Text {
    /// One line.
    pub(super) fn line(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], ..Self::default() }
    }

    /// A line for each.
    pub(super) fn lines(lines: impl Iterator<Item = String>) -> Self {
        Self { lines: lines.collect(), ..Self::default() }
    }

    /// One remark.
    pub(super) fn remark(remark: impl Into<String>) -> Self {
        Self { remarks: vec![remark.into()], ..Self::default() }
    }
}

/// So many of something: `1 file`, `2 files`.
pub(super) fn count(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { many })
}

macro_rules! outcomes {
    ($($(#[doc = $what:literal])+ $name:ident($outcome:ty);)+) => {
        /// What came of an order or a work.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum CommandOutcome {
            $($(#[doc = $what])+ $name($outcome),)+
        }

        impl CommandOutcome {
            /// What people are told of it.
            pub fn text(&self) -> Text {
                match self {
                    $(Self::$name(outcome) => outcome.text(),)+
                }
            }
        }

        $(impl From<$outcome> for CommandOutcome {
            fn from(outcome: $outcome) -> Self {
                Self::$name(outcome)
            }
        })+
    };
}

outcomes! {
    /// Of an order about users.
    User(UserOutcome);
    /// Of an order about keys.
    Key(KeyOutcome);
    /// Of an order about organizations.
    Organization(OrganizationOutcome);
    /// Of an order about rights to read.
    Grant(GrantOutcome);
    /// Of an order about releases of local repositories.
    Release(ReleaseOutcome);
    /// Of pins.
    Pin(PinOutcome);
    /// Of waivers.
    Waiver(WaiverOutcome);
    /// What a policy says of a package.
    Why(PolicyExplanation);
    /// What a policy says of lock files.
    Tested(PolicyTestReport);
    /// What a policy held.
    Report(HeldReport);
    /// Who was delivered something.
    Fetched(FetchReport);
    /// Lines of the audit log.
    Audit(AuditLines);
    /// Why a repository answers as it does.
    Explained(Explained);
    /// The lines for a client.
    ClientSetup(ClientLines);
    /// What takes room.
    Stats(Stats);
    /// Of a collection.
    Collected(CollectOutcome);
    /// Of a scrub.
    Scrubbed(Scrubbed);
    /// Of a prefetch.
    Prefetched(Prefetched);
    /// Of an import of a folder.
    Imported(Imported);
    /// Of a mirror.
    Mirrored(MirrorOutcome);
    /// Of a bundle.
    Bundle(BundleOutcome);
    /// Of a backup.
    BackedUp(BackedUp);
    /// Of a restore.
    Restored(Restored);
}
