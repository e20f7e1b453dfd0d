//! Releases that fix a security advisory, which the cooldown can leave out.

use super::is_too_young;
use crate::clock::Timestamp;
use crate::hex::version::ReleaseVersion;
use crate::policy::overrides::{Effect, Override};
use crate::policy::release_facts::{AdvisoryFacts, ReleaseFacts};
use crate::policy::rules::ReleaseCase;
use crate::policy::severity::Severity;

/// Whether this release fixes an advisory: a project that cannot get it would get an older release instead, and that
/// one has an advisory which this one does not have.
///
/// The project would get the newest stable release of the same series that has passed the cooldown. If that is newer
/// than this one, nobody needs this one. Only advisories that the upstream signed and no override ignores count.
pub(super) fn fixes_advisory(case: &ReleaseCase<'_>, moment: Timestamp) -> bool {
    if !case.rules.cooldown_exempt_security_fixes {
        return false;
    }
    let past =
        series(case).filter(|(sibling, version)| !version.is_pre_release() && !is_too_young(case, sibling, moment));
    let newest = past.max_by(|(_, left), (_, right)| left.cmp_precedence(right));
    let (Some((instead, older)), Some(version)) = (newest, &case.release.version) else { return false };
    if older.cmp_precedence(version).is_ge() {
        return false;
    }
    let least = case.rules.advisory_min_severity.unwrap_or(Severity::None);
    let ignored = |advisory: &AdvisoryFacts| {
        ignored_advisories(case).any(|found| {
            found.applies_at(&case.package.name, Some(older), moment)
                && matches!(&found.effect, Effect::IgnoreAdvisory(id) if advisory.is_called(id))
        })
    };
    let has_it = |advisory: &AdvisoryFacts| case.package.advisories_of(case.release).any(|own| own.is_same(advisory));
    case.package
        .advisories_of(instead)
        .any(|found| found.is_signed && found.severity >= least && !ignored(found) && !has_it(found))
}

/// The overrides that ignore an advisory of any release of the package.
pub(super) fn ignored_advisories<'a>(case: &ReleaseCase<'a>) -> impl Iterator<Item = &'a Override> {
    let name: &'a str = &case.package.name;
    let overrides: &'a [Override] = &case.rules.overrides;
    overrides
        .iter()
        .filter(move |found| found.package.as_str() == name && matches!(found.effect, Effect::IgnoreAdvisory(_)))
}

/// The other releases of the same major version; below 1.0, of the same minor version.
pub(super) fn series<'a>(case: &ReleaseCase<'a>) -> impl Iterator<Item = (&'a ReleaseFacts, &'a ReleaseVersion)> {
    let numbers = case.release.version.as_ref().map(ReleaseVersion::numbers);
    let others = case.package.releases.iter().filter_map(|other| Some((other, other.version.as_ref()?)));
    let text: &'a str = &case.release.text;
    others.filter(move |(other, version)| {
        let same = match (numbers, version.numbers()) {
            (Some([0, minor, _]), [0, its_minor, _]) => minor == its_minor,
            (Some([major, ..]), [its_major, ..]) => major == its_major,
            (None, _) => false,
        };
        same && *other.text != *text
    })
}
