//! The words that stand for a choice, for reading and for printing. Imports `hex`, `policy` and
//! `config::settings`.

use crate::hex::build::RetirementReason;
use crate::policy::licence::WhereUnknown;
use crate::policy::rules::Mode;

use super::settings::{
    AddressDetail, Changers, ChecksumChanges, DependencyCheck, LogFormat, LogLevel, MergeMode, MetadataMode,
    Mutability, NetworkMode, OnMemberFailure, OnUpstreamDelete, PrefetchMode, Publishers, SignatureMode, TotpMode,
};

pub(super) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
pub(super) const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
pub(super) const SIGNATURES: &[(&str, SignatureMode)] =
    &[("upstream", SignatureMode::Upstream), ("own", SignatureMode::Own)];
pub(super) const NETWORKS: &[(&str, NetworkMode)] =
    &[("strict", NetworkMode::Strict), ("fallback", NetworkMode::Fallback), ("offline", NetworkMode::Offline)];
pub(super) const CHECKSUM_CHANGES: &[(&str, ChecksumChanges)] =
    &[("window", ChecksumChanges::Window), ("allow", ChecksumChanges::Allow), ("refuse", ChecksumChanges::Refuse)];
pub(super) const METADATA: &[(&str, MetadataMode)] = &[("lazy", MetadataMode::Lazy), ("full", MetadataMode::Full)];
pub(super) const ON_UPSTREAM_DELETE: &[(&str, OnUpstreamDelete)] =
    &[("hide", OnUpstreamDelete::Hide), ("keep", OnUpstreamDelete::Keep), ("purge", OnUpstreamDelete::Purge)];
pub(super) const PREFETCHES: &[(&str, PrefetchMode)] =
    &[("off", PrefetchMode::Off), ("closure", PrefetchMode::Closure)];

pub(super) const TOTP: &[(&str, TotpMode)] =
    &[("off", TotpMode::Off), ("optional", TotpMode::Optional), ("required", TotpMode::Required)];
pub(super) const ADDRESSES: &[(&str, AddressDetail)] =
    &[("full", AddressDetail::Full), ("prefix", AddressDetail::Prefix), ("off", AddressDetail::Off)];
pub(super) const MUTABILITIES: &[(&str, Mutability)] =
    &[("immutable", Mutability::Immutable), ("window", Mutability::Window), ("always", Mutability::Always)];
pub(super) const DEPENDENCY_CHECKS: &[(&str, DependencyCheck)] =
    &[("off", DependencyCheck::Off), ("local", DependencyCheck::Local), ("virtual", DependencyCheck::Virtual)];
pub(super) const PUBLISHERS: &[(&str, Publishers)] = &[("members", Publishers::Members), ("users", Publishers::Users)];
pub(super) const CHANGERS: &[(&str, Changers)] = &[("members", Changers::Members), ("owners", Changers::Owners)];
pub(super) const MERGES: &[(&str, MergeMode)] = &[("package", MergeMode::Package), ("release", MergeMode::Release)];
pub(super) const ON_MEMBER_FAILURE: &[(&str, OnMemberFailure)] =
    &[("fail", OnMemberFailure::Fail), ("skip", OnMemberFailure::Skip)];

pub(super) const POLICY_MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("dry_run", Mode::DryRun)];
pub(super) const WHERE_UNKNOWN: &[(&str, WhereUnknown)] =
    &[("hold", WhereUnknown::Hold), ("allow", WhereUnknown::Allow)];
pub(super) const RETIREMENT_REASONS: &[(&str, RetirementReason)] = &[
    ("other", RetirementReason::Other),
    ("invalid", RetirementReason::Invalid),
    ("security", RetirementReason::Security),
    ("deprecated", RetirementReason::Deprecated),
    ("renamed", RetirementReason::Renamed),
];

/// The word for `value`; every value of the enums above has one, which a test holds.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, listed)| listed == value).map_or("", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new variant makes one of these matches fail to compile; then it gets a word above and a line here.
    #[test]
    fn every_choice_has_a_word() {
        for (word, value) in LOG_FORMATS {
            assert_eq!(
                *word,
                match value {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                }
            );
        }
        for (word, value) in LOG_LEVELS {
            let expected = match value {
                LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace => "trace",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in SIGNATURES {
            assert_eq!(
                *word,
                match value {
                    SignatureMode::Upstream => "upstream",
                    SignatureMode::Own => "own",
                }
            );
        }
        for (word, value) in NETWORKS {
            let expected = match value {
                NetworkMode::Strict => "strict",
                NetworkMode::Fallback => "fallback",
                NetworkMode::Offline => "offline",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in CHECKSUM_CHANGES {
            let expected = match value {
                ChecksumChanges::Window => "window",
                ChecksumChanges::Allow => "allow",
                ChecksumChanges::Refuse => "refuse",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in ON_UPSTREAM_DELETE {
            let expected = match value {
                OnUpstreamDelete::Hide => "hide",
                OnUpstreamDelete::Keep => "keep",
                OnUpstreamDelete::Purge => "purge",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in PREFETCHES {
            let expected = match value {
                PrefetchMode::Off => "off",
                PrefetchMode::Closure => "closure",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in TOTP {
            let expected = match value {
                TotpMode::Off => "off",
                TotpMode::Optional => "optional",
                TotpMode::Required => "required",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in ADDRESSES {
            let expected = match value {
                AddressDetail::Full => "full",
                AddressDetail::Prefix => "prefix",
                AddressDetail::Off => "off",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in PUBLISHERS {
            let expected = match value {
                Publishers::Members => "members",
                Publishers::Users => "users",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in CHANGERS {
            let expected = match value {
                Changers::Members => "members",
                Changers::Owners => "owners",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in MUTABILITIES {
            let expected = match value {
                Mutability::Immutable => "immutable",
                Mutability::Window => "window",
                Mutability::Always => "always",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in DEPENDENCY_CHECKS {
            let expected = match value {
                DependencyCheck::Off => "off",
                DependencyCheck::Local => "local",
                DependencyCheck::Virtual => "virtual",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in MERGES {
            let expected = match value {
                MergeMode::Package => "package",
                MergeMode::Release => "release",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in ON_MEMBER_FAILURE {
            let expected = match value {
                OnMemberFailure::Fail => "fail",
                OnMemberFailure::Skip => "skip",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in POLICY_MODES {
            let expected = match value {
                Mode::Enforce => "enforce",
                Mode::DryRun => "dry_run",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in WHERE_UNKNOWN {
            let expected = match value {
                WhereUnknown::Hold => "hold",
                WhereUnknown::Allow => "allow",
            };
            assert_eq!(*word, expected);
        }
        for (word, value) in RETIREMENT_REASONS {
            assert_eq!(*word, value.as_str());
        }
        assert_eq!(RETIREMENT_REASONS.len(), RetirementReason::ALL.len());
        assert_eq!(word(NETWORKS, &NetworkMode::Offline), "offline");
    }
}
