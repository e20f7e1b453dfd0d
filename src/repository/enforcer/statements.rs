//! Texts for people about decisions, and the numbers of held and exempt releases.

use std::collections::BTreeSet;

use super::{Enforcer, Judgement, plain};
use crate::clock::Timestamp;
use crate::hex::name::{PackageName, PolicyName};
use crate::hex::resource::ArtifactName;
use crate::hex::version;
use crate::policy::decide::{AllowedBy, Decision};
use crate::policy::filter::HeldRelease;
use crate::policy::reason::Reason;

/// How many hidden releases a notice lists.
const NAMED: usize = 3;

/// Maximum length of a reason in a notice, in characters.
const REASON: usize = 120;

/// A release that a policy removes from an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenRelease {
    pub version: Box<str>,
    pub policy: PolicyName,
    pub reason: Reason,
    /// When the hold ends by itself.
    pub until: Option<Timestamp>,
}

/// The statements of a policy about releases of a package, each with the version and a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyStatements {
    pub held: Vec<(Box<str>, String)>,
    /// Releases that a rule would hold, and that are exempt.
    pub exempt: Vec<(Box<str>, String)>,
}

/// The decision of a policy about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseDecision {
    pub decision: Decision,
    /// Whether it is allowed only because its licences, which may hold it, have not been read yet.
    pub is_provisional: bool,
}

/// The numbers of evaluated releases in memory, by decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    /// Packages.
    pub packages: usize,
    /// Releases that are held, or would be in a dry run.
    pub held: usize,
    /// Releases that a rule would hold, and that are exempt: package, version and reason, sorted.
    pub exempt: BTreeSet<(Box<str>, Box<str>, AllowedBy)>,
}

impl PolicyCounts {
    /// How many releases are exempt for a reason.
    pub fn count(&self, because: AllowedBy) -> usize {
        self.exempt.iter().filter(|(_, _, why)| *why == because).count()
    }
}

impl Enforcer {
    /// Counts the evaluations in memory.
    pub fn standing(&self) -> PolicyCounts {
        let mut standing = PolicyCounts::default();
        for (key, judgement) in &self.judgements {
            let package: Box<str> = key.1.as_str().into();
            standing.packages += 1;
            standing.held += judgement.evaluation.held.len();
            let exempt = judgement.evaluation.exempt.iter();
            standing.exempt.extend(exempt.map(|(version, why)| (package.clone(), version.clone(), *why)));
        }
        standing
    }

    /// The statements of an enforced policy about some releases of a package.
    pub fn says(
        &self,
        package: &PackageName,
        judgement: &Judgement,
        is_about: impl Fn(&str) -> bool,
    ) -> PolicyStatements {
        if !self.is_enforced() {
            return PolicyStatements::default();
        }
        let held = judgement.evaluation.held.iter().filter(|held| is_about(&held.version)).filter_map(|held| {
            let release = ArtifactName { package: package.clone(), version: held.version.parse().ok()? };
            Some((held.version.clone(), self.sentence(&release, held)))
        });
        let exempt =
            judgement.evaluation.exempt.iter().filter(|(version, _)| is_about(version)).map(|(version, why)| {
                let said = format!("{package} {version} is {} (policy {})", why.words(), self.name());
                (version.clone(), said)
            });
        PolicyStatements { held: held.collect(), exempt: exempt.collect() }
    }

    /// The releases that an enforced policy removes.
    pub fn left_out<'a>(&self, judgement: &'a Judgement) -> &'a [HeldRelease] {
        if self.is_enforced() { &judgement.evaluation.held } else { &[] }
    }

    /// The releases that an enforced policy removes, with the policy.
    pub fn hidden<'a>(&'a self, judgement: &'a Judgement) -> impl Iterator<Item = HiddenRelease> + 'a {
        self.left_out(judgement).iter().map(|held| HiddenRelease {
            version: held.version.clone(),
            policy: self.name().clone(),
            reason: held.reason.clone(),
            until: held.until,
        })
    }

    /// The text about a decision on a release.
    pub fn describe(&self, release: &ArtifactName, said: &ReleaseDecision) -> String {
        let (package, version) = (&release.package, &release.version);
        match &said.decision {
            Decision::Held { reason, until } => {
                let held = HeldRelease { version: version.as_str().into(), reason: reason.clone(), until: *until };
                self.sentence(release, &held)
            }
            Decision::Allowed { because, until } => {
                let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
                let so_far =
                    if said.is_provisional { " so far: its licences are read at the first download" } else { "" };
                format!("{package} {version} is {}{until}{so_far}", because.words())
            }
        }
    }

    /// The text about a held release: one line of printable ASCII without quotation marks, fit for a header.
    pub fn sentence(&self, release: &ArtifactName, held: &HeldRelease) -> String {
        let until = held.until.map(|until| format!("; it is available from {until}")).unwrap_or_default();
        let (package, version, policy) = (&release.package, &release.version, self.name());
        plain(&format!("{package} {version} is held by the policy {policy}: it {}{until}", held.reason))
    }
}

/// The text about hidden releases of a package: one line of printable ASCII. It lists them with reason and end, the
/// newest first, and the newest release in `shown`. `None` if no release is hidden.
pub fn notice<'a>(
    package: &PackageName,
    mut hidden: Vec<HiddenRelease>,
    shown: impl Iterator<Item = &'a str>,
) -> Option<String> {
    hidden.sort_by_cached_key(|one| std::cmp::Reverse(version::order(&one.version)));
    hidden.dedup_by(|one, other| one.version == other.version);
    let policies: BTreeSet<&str> = hidden.iter().map(|one| one.policy.as_str()).collect();
    let policies: Vec<&str> = policies.into_iter().collect();
    let named: Vec<String> = hidden.iter().take(NAMED).map(said).collect();
    if hidden.is_empty() {
        return None;
    }
    let more = match hidden.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut shown: Vec<&str> = shown.collect();
    shown.sort_by_cached_key(|text| version::order(text));
    let stable = shown.iter().rev().find(|text| !text.contains('-'));
    let take = match stable.or(shown.last()) {
        Some(newest) => format!("the newest available release is {newest}"),
        None => "no release is available".to_owned(),
    };
    let held = if policies.len() == 1 { "the policy" } else { "the policies" };
    Some(plain(&format!(
        "releases of {package} are held by {held} {}: {}{more}; {take}",
        policies.join(", "),
        named.join(", ")
    )))
}

fn said(hidden: &HiddenRelease) -> String {
    let reason: String = hidden.reason.to_string().chars().take(REASON).collect();
    let until = hidden.until.map(|until| format!(", until {until}")).unwrap_or_default();
    format!("{} (it {reason}{until})", hidden.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_the_newest_and_what_to_take() {
        let hidden = |version: &str, until: Option<u64>| HiddenRelease {
            version: version.into(),
            policy: "company".parse().unwrap(),
            reason: Reason::denied(Some("b\u{e4}d \"luck\"")),
            until: until.map(Timestamp::from_secs),
        };
        let package: PackageName = "jason".parse().unwrap();
        assert_eq!(notice(&package, Vec::new(), ["1.0.0"].into_iter()), None);
        let one = notice(&package, vec![hidden("1.1.0", Some(86_400))], ["1.0.0", "0.9.0", "1.0.1-rc.1"].into_iter());
        assert_eq!(
            one.as_deref(),
            Some(
                "releases of jason are held by the policy company: 1.1.0 (it is denied (b?d 'luck'), until \
                 1970-01-02T00:00:00Z); the newest available release is 1.0.0"
            )
        );
        let many = ["1.2.0", "1.10.0", "1.3.0", "1.4.0", "1.5.0"].map(|version| hidden(version, None));
        let many = notice(&package, many.to_vec(), std::iter::empty()).unwrap();
        assert!(many.contains("company: 1.10.0 (it is denied (b?d 'luck')), 1.5.0 ("), "{many}");
        assert!(many.contains("1.4.0 (it is denied (b?d 'luck')) and 2 more; no release is available"), "{many}");
    }
}
