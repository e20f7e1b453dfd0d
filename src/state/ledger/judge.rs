//! Decides whether an index may change the checksum of a release, and which checksums its file must have. Pure.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::index::Release;

/// A release may be replaced this long after it was published (hex.pm's rule).
pub const RELEASE_WINDOW: Duration = Duration::from_secs(3600);

/// Any release of a package may be replaced this long after the package's first release (hex.pm's rule).
pub const PACKAGE_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The known checksums of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownChecksums {
    /// SHA-256 of the whole tarball.
    pub outer: Option<Sha256>,
    /// SHA-256 of its inner files.
    pub inner: Option<Sha256>,
    /// Whether the inner checksum was known before the outer one. Then the outer checksum alone does not prove that the
    /// file is the known one.
    pub inner_first: bool,
}

/// The checksums that the file of a release must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRequirement {
    /// The whole file has this digest.
    Outer(Sha256),
    /// Its inner files have this digest.
    Inner(Sha256),
    /// Both.
    Both {
        /// SHA-256 of the whole file.
        outer: Sha256,
        /// SHA-256 of its inner files.
        inner: Sha256,
    },
}

impl KnownChecksums {
    /// The checksums in an index.
    pub fn of(release: &Release) -> Self {
        Self { outer: release.outer, inner: release.inner, inner_first: false }
    }

    /// The known checksums of a release after a verdict on an index.
    pub(super) fn after(verdict: Verdict, release: &Release, before: Option<&LedgerRecord>) -> Self {
        let new = Self::of(release);
        match (verdict, before) {
            (Verdict::New | Verdict::Changed, _) | (_, None) => new,
            (Verdict::Refused, Some(before)) => before.known,
            (Verdict::Same | Verdict::Completed, Some(LedgerRecord { known, .. })) => Self {
                outer: known.outer.or(new.outer),
                inner: known.inner.or(new.inner),
                inner_first: known.inner_first || (known.outer.is_none() && known.inner.is_some()),
            }
            .with_outer(),
        }
    }

    /// Without an outer checksum, the order is irrelevant.
    fn with_outer(self) -> Self {
        Self { inner_first: self.inner_first && self.outer.is_some(), ..self }
    }

    /// The required checksums of the file, if any are known: both, if one alone would not be enough. If an index
    /// contained both from the beginning, the outer one is enough.
    pub fn demand(&self, listed: Option<&Release>) -> Option<FileRequirement> {
        let names_both = listed.is_some_and(|release| release.outer.is_some() && release.inner.is_some());
        match (self.outer, self.inner) {
            (Some(outer), Some(_)) if names_both && !self.inner_first => Some(FileRequirement::Outer(outer)),
            (Some(outer), Some(inner)) => Some(FileRequirement::Both { outer, inner }),
            (Some(outer), None) => Some(FileRequirement::Outer(outer)),
            (None, inner) => inner.map(FileRequirement::Inner),
        }
    }
}

/// The ledger's record of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// The checksums.
    pub known: KnownChecksums,
    /// The time of publication as signed by the upstream.
    pub published_at: Option<Timestamp>,
    /// The time at which this server first saw the release.
    pub first_seen: Timestamp,
    /// The last change that was refused and reported.
    pub refused: Option<String>,
    /// The remarks of the last index besides the checksums; `None` if they were never recorded.
    pub remark: Option<Vec<u8>>,
}

impl LedgerRecord {
    /// The best known time of the release's publication.
    pub(super) fn born(&self) -> Timestamp {
        self.published_at.map_or(self.first_seen, |published| published.min(self.first_seen))
    }
}

/// The rule for changed checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRule {
    /// Within [`RELEASE_WINDOW`] or [`PACKAGE_WINDOW`].
    Window,
    /// Always.
    Allow,
    /// Never.
    Refuse,
}

/// The verdict on a release in a newly verified index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The release is new.
    New,
    /// Nothing changed.
    Same,
    /// The release is the same, with an additional checksum.
    Completed,
    /// The checksum changed, which is allowed.
    Changed,
    /// The checksum changed, which is refused.
    Refused,
}

/// Judges `release` by what is `known` of it. `package_born` is the publication time of the package's first release.
///
/// A release is the same if the index contains at least one of the known checksums and contradicts none. An index
/// without any known checksum may describe a different file, whatever other checksums it contains.
pub fn judge(
    release: &Release,
    known: Option<&LedgerRecord>,
    package_born: Timestamp,
    rule: ChangeRule,
    now: Timestamp,
) -> Verdict {
    let Some(record) = known else { return Verdict::New };
    let known = &record.known;
    let pairs = [(release.outer, known.outer), (release.inner, known.inner)];
    let same = pairs.iter().any(|(new, old)| new.is_some() && new == old);
    let other = pairs.iter().any(|(new, old)| new.is_some() && old.is_some() && new != old);
    let nothing_known = known.outer.is_none() && known.inner.is_none();
    if !other && (same || nothing_known) {
        let more = pairs.iter().any(|(new, old)| new.is_some() && old.is_none());
        return if more { Verdict::Completed } else { Verdict::Same };
    }
    let in_window = now.since(record.born()) <= RELEASE_WINDOW || now.since(package_born) <= PACKAGE_WINDOW;
    match rule {
        ChangeRule::Allow => Verdict::Changed,
        ChangeRule::Window if in_window => Verdict::Changed,
        ChangeRule::Window | ChangeRule::Refuse => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;

    fn digest(byte: u8) -> Option<Sha256> {
        Some(Sha256::of(&[byte]))
    }

    fn release(outer: Option<Sha256>, inner: Option<Sha256>) -> Release {
        Release { version: "1.0.0".into(), inner, outer, published_at: None }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    fn record(known: KnownChecksums) -> LedgerRecord {
        LedgerRecord { known, published_at: None, first_seen: at(0), refused: None, remark: None }
    }

    fn known(outer: Option<Sha256>, inner: Option<Sha256>) -> LedgerRecord {
        record(KnownChecksums { outer, inner, inner_first: false })
    }

    #[test]
    fn the_windows_are_hex_pms() {
        let known = known(digest(101), digest(1));
        let changed = release(digest(102), digest(2));
        let old_package = Timestamp::from_secs(0);
        for (seconds, born, rule, verdict) in [
            (HOUR, old_package, ChangeRule::Window, Verdict::Changed),
            (HOUR + 1, old_package, ChangeRule::Window, Verdict::Refused),
            (24 * HOUR, at(0), ChangeRule::Window, Verdict::Changed),
            (24 * HOUR + 1, at(0), ChangeRule::Window, Verdict::Refused),
            (48 * HOUR, old_package, ChangeRule::Allow, Verdict::Changed),
            (0, old_package, ChangeRule::Refuse, Verdict::Refused),
        ] {
            assert_eq!(judge(&changed, Some(&known), born, rule, at(seconds)), verdict, "{seconds} {rule:?}");
        }
        let same = release(digest(101), digest(1));
        assert_eq!(judge(&same, Some(&known), old_package, ChangeRule::Refuse, at(0)), Verdict::Same);
        assert_eq!(judge(&changed, None, old_package, ChangeRule::Refuse, at(0)), Verdict::New);
    }

    #[test]
    fn one_kind_of_checksum_does_not_stand_for_the_other() {
        let (a, b, c) = (digest(1), digest(2), digest(3));
        for (before, after, verdict) in [
            // The same checksums, or a subset, or additional ones.
            ((a, b), (a, b), Verdict::Same),
            ((a, b), (a, None), Verdict::Same),
            ((a, b), (None, b), Verdict::Same),
            ((a, None), (a, b), Verdict::Completed),
            ((None, b), (a, b), Verdict::Completed),
            ((None, None), (a, b), Verdict::Completed),
            ((None, None), (None, None), Verdict::Same),
            // A different checksum, even if another one matches.
            ((a, b), (c, b), Verdict::Refused),
            ((a, b), (a, c), Verdict::Refused),
            ((a, b), (None, c), Verdict::Refused),
            // No checksum in common.
            ((None, b), (a, None), Verdict::Refused),
            ((a, None), (None, b), Verdict::Refused),
            ((a, b), (None, None), Verdict::Refused),
            ((a, None), (None, None), Verdict::Refused),
        ] {
            let found =
                judge(&release(after.0, after.1), Some(&known(before.0, before.1)), at(0), ChangeRule::Refuse, at(0));
            assert_eq!(found, verdict, "{before:?} {after:?}");
        }
    }

    /// A file with its two digests.
    type File = (u8, u8);

    fn satisfies(file: File, demand: FileRequirement) -> bool {
        let (outer, inner) = (Sha256::of(&[file.0]), Sha256::of(&[file.1]));
        match demand {
            FileRequirement::Outer(wanted) => outer == wanted,
            FileRequirement::Inner(wanted) => inner == wanted,
            FileRequirement::Both { outer: first, inner: second } => outer == first && inner == second,
        }
    }

    proptest! {
        /// For any sequence of indexes that an upstream signs: if no change is allowed, every file that may be served
        /// is one that the first index with a checksum allows, and has all checksums that are known by then.
        #[test]
        fn no_history_of_indexes_exchanges_a_file(
            history in prop::collection::vec((prop::option::of(0_u8..3), prop::option::of(0_u8..3)), 1..8),
            file in (0_u8..3, 0_u8..3),
        ) {
            let (mut ledger, mut first): (Option<LedgerRecord>, Option<FileRequirement>) = (None, None);
            for (outer, inner) in history {
                let listed = release(outer.and_then(digest), inner.and_then(digest));
                let verdict = judge(&listed, ledger.as_ref(), at(0), ChangeRule::Refuse, at(0));
                prop_assert_ne!(verdict, Verdict::Changed);
                let after = KnownChecksums::after(verdict, &listed, ledger.as_ref());
                if let Some(before) = &ledger {
                    prop_assert!(before.known.outer.is_none() || before.known.outer == after.outer, "it is kept");
                    prop_assert!(before.known.inner.is_none() || before.known.inner == after.inner, "it is kept");
                }
                ledger = Some(record(after));
                if verdict == Verdict::Refused {
                    continue;
                }
                for demand in [after.demand(Some(&listed)), after.demand(None)].into_iter().flatten() {
                    first = first.or(Some(demand));
                    prop_assert!(
                        !satisfies(file, demand) || first.is_none_or(|first| satisfies(file, first)),
                        "{file:?} {demand:?} {first:?}"
                    );
                }
            }
        }

        /// An allowed change replaces everything that was known.
        #[test]
        fn an_allowed_change_is_the_release_from_then_on(
            before in (prop::option::of(0_u8..3), prop::option::of(0_u8..3), any::<bool>()),
            after in (prop::option::of(0_u8..3), prop::option::of(0_u8..3)),
        ) {
            let known = KnownChecksums {
                outer: before.0.and_then(digest),
                inner: before.1.and_then(digest),
                inner_first: before.2,
            };
            let (known, listed) = (record(known), release(after.0.and_then(digest), after.1.and_then(digest)));
            let verdict = judge(&listed, Some(&known), at(0), ChangeRule::Allow, at(0));
            if verdict == Verdict::Changed {
                let now = KnownChecksums::after(verdict, &listed, Some(&known));
                prop_assert_eq!(now, KnownChecksums::of(&listed));
                let again = judge(&listed, Some(&record(now)), at(0), ChangeRule::Refuse, at(0));
                prop_assert_eq!(again, Verdict::Same);
            }
        }
    }
}
