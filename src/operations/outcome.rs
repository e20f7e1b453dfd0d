//! Results of commands and jobs, and the text that people read.

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

/// The output of a command for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The result, for standard output.
    pub lines: Vec<String>,
    /// Remarks, for standard error.
    pub remarks: Vec<String>,
    /// Whether a part of the command failed; the remarks contain the errors.
    pub failed: bool,
}

impl Text {
    /// A result of one line.
    pub(super) fn line(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], ..Self::default() }
    }

    /// A result of these lines.
    pub(super) fn lines(lines: impl Iterator<Item = String>) -> Self {
        Self { lines: lines.collect(), ..Self::default() }
    }

    /// A single remark.
    pub(super) fn remark(remark: impl Into<String>) -> Self {
        Self { remarks: vec![remark.into()], ..Self::default() }
    }
}

/// JSON for a terminal: all non-ASCII characters are escaped. They can only be in strings, where JSON allows it.
pub(super) fn terminal_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(value)?;
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_ascii() {
            true => ascii.push(c),
            false => ascii.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| escape(*unit))),
        }
    }
    Ok(ascii)
}

/// A UTF-16 unit as a JSON escape of six characters.
fn escape(unit: u16) -> impl Iterator<Item = char> {
    let digits = [12, 8, 4, 0].map(|shift| char::from_digit(u32::from(unit >> shift & 0xf), 16).unwrap_or('0'));
    ['\\', 'u'].into_iter().chain(digits)
}

/// A number with its noun: `1 file`, `2 files`.
pub(super) fn count(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { many })
}

macro_rules! outcomes {
    ($($(#[doc = $what:literal])+ $name:ident($outcome:ty);)+) => {
        /// The result of a command or a job.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum CommandOutcome {
            $($(#[doc = $what])+ $name($outcome),)+
        }

        impl CommandOutcome {
            /// The text for people.
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
    /// Result of a user command.
    User(UserOutcome);
    /// Result of a key command.
    Key(KeyOutcome);
    /// Result of an organization command.
    Organization(OrganizationOutcome);
    /// Result of a grant command.
    Grant(GrantOutcome);
    /// Result of a release command.
    Release(ReleaseOutcome);
    /// Result of a pin command.
    Pin(PinOutcome);
    /// Result of a waiver command.
    Waiver(WaiverOutcome);
    /// Explanation of a policy for a package.
    Why(PolicyExplanation);
    /// Test of lock files against a policy.
    Tested(PolicyTestReport);
    /// Requests that a policy held.
    Report(HeldReport);
    /// Downloads of a package.
    Fetched(FetchReport);
    /// Lines of the audit log.
    Audit(AuditLines);
    /// Explanation of the repository that serves a package.
    Explained(Explained);
    /// The lines for a client.
    ClientSetup(ClientLines);
    /// Disk usage and hit rates.
    Stats(Stats);
    /// Result of a garbage collection.
    Collected(CollectOutcome);
    /// Result of a verification of the store.
    Scrubbed(Scrubbed);
    /// Result of a prefetch.
    Prefetched(Prefetched);
    /// Result of an import of a folder.
    Imported(Imported);
    /// Result of a mirror job.
    Mirrored(MirrorOutcome);
    /// Result of a bundle command.
    Bundle(BundleOutcome);
    /// Result of a backup.
    BackedUp(BackedUp);
    /// Result of a restore.
    Restored(Restored);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn json_in_ascii_says_the_same(text in "\\PC*|(?s).*") {
            let ascii = terminal_json(&[&text]).unwrap();
            proptest::prop_assert!(ascii.is_ascii());
            proptest::prop_assert_eq!(serde_json::from_str::<Vec<String>>(&ascii).unwrap(), vec![text]);
        }
    }
}
