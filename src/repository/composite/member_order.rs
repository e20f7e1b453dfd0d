//! Decides which members answer for a package. Pure functions.

use std::ops::ControlFlow;

use crate::repository::NameRules;

/// Which members answer for a package that several members have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The first one that has it.
    Package,
    /// All of them, release by release.
    Release,
}

/// What happens to an answer if a public member fails. A private member is never skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// There is no answer.
    Fail,
    /// The answer is given without that member.
    Skip,
}

/// How the packages of members are merged into one repository (interface §5).
#[derive(Clone, Debug)]
pub struct MergeRules {
    /// Which members answer for a package that several members have.
    pub merge: Merge,
    /// Names for which releases of private and public members are merged.
    pub merge_across: NameRules,
    /// Names for which only private members may answer.
    pub reserve: NameRules,
    /// The patterns of these names, as written in the configuration.
    pub reserve_patterns: Vec<String>,
    /// Names that may be published although a public member has them.
    pub allow_shadow: NameRules,
    /// What happens if a public member fails.
    pub on_failure: OnFailure,
}

impl MergeRules {
    /// The members that may answer for `name`, in the order in which they are asked. `claimants` tells of each member
    /// whether it claims the name, `is_public` whether it may answer for a name that no member claims.
    ///
    /// This is the guard against name confusion: if a name is claimed or reserved, only the members that claim it are
    /// asked. Public members are added behind them only if the configuration allows this for the name. A private member
    /// that does not claim a name does not have it, and is not asked again.
    pub(super) fn order(&self, name: &str, claimants: &[bool], is_public: impl Fn(usize) -> bool) -> Vec<usize> {
        let claims = |at: &usize| claimants.get(*at) == Some(&true);
        let others = (0..claimants.len()).filter(|at| !claims(at) && is_public(*at));
        let claimed = claimants.contains(&true);
        if !claimed && !self.reserve.allows(name) {
            return others.collect();
        }
        let across = claimed && self.merge == Merge::Release && self.merge_across.allows(name);
        (0..claimants.len()).filter(claims).chain(others.filter(|_| across)).collect()
    }
}

/// A member's answer for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberShare {
    /// It has the package.
    Has,
    /// It does not have the package.
    Absent,
    /// It claims the name, but the caller may not see it.
    Withheld,
}

/// Collects the members that answer, one after the other.
#[derive(Debug)]
pub(super) struct MemberChoice {
    merge: Merge,
    owners: Vec<usize>,
    /// Whether a private member is among them.
    private: bool,
    withheld: bool,
}

/// The name belongs to a member that the caller may not read, so no other member answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Withheld;

impl MemberChoice {
    pub(super) fn new(merge: Merge) -> Self {
        Self { merge, owners: Vec::new(), private: false, withheld: false }
    }

    /// Adds the next member in order; breaks if the remaining ones do not count.
    pub(super) fn add_member(&mut self, member: usize, claims: bool, share: MemberShare) -> ControlFlow<()> {
        match share {
            MemberShare::Absent => return ControlFlow::Continue(()),
            MemberShare::Withheld => self.withheld = true,
            MemberShare::Has => {
                self.owners.push(member);
                self.private |= claims;
            }
        }
        match self.merge {
            Merge::Package => ControlFlow::Break(()),
            Merge::Release => ControlFlow::Continue(()),
        }
    }

    /// The members that answer, in order of priority.
    pub(super) fn owners(self) -> Result<Vec<usize>, Withheld> {
        if self.withheld && !self.private { Err(Withheld) } else { Ok(self.owners) }
    }
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSet, GlobSetBuilder};
    use proptest::prelude::*;

    use super::*;

    fn names(patterns: &[&str]) -> NameRules {
        let mut builder = GlobSetBuilder::new();
        for pattern in patterns {
            builder.add(Glob::new(pattern).unwrap());
        }
        NameRules { include: builder.build().unwrap(), exclude: GlobSet::empty(), everything: false }
    }

    fn rules(merge: Merge, merge_across: &[&str], reserve: &[&str]) -> MergeRules {
        MergeRules {
            merge,
            merge_across: names(merge_across),
            reserve: names(reserve),
            reserve_patterns: reserve.iter().map(|pattern| (*pattern).to_owned()).collect(),
            allow_shadow: names(&[]),
            on_failure: OnFailure::Fail,
        }
    }

    #[test]
    fn who_claims_a_name_is_heard_alone() {
        let usual = rules(Merge::Package, &[], &["acme_*"]);
        let is_public = |at| at != 1;
        assert_eq!(usual.order("jason", &[false, false, false], is_public), [0, 2]);
        assert_eq!(usual.order("jason", &[false, true, false], is_public), [1]);
        assert_eq!(usual.order("jason", &[true, false, false], is_public), [0], "one that is private below");
        assert_eq!(usual.order("acme_x", &[false, false, false], is_public), [0_usize; 0], "reserved, nobody has it");
        assert_eq!(usual.order("acme_x", &[false, true, false], is_public), [1]);
    }

    #[test]
    fn releases_cross_the_guard_where_it_is_written() {
        let across = rules(Merge::Release, &["jason"], &["jason"]);
        let is_public = |at| at == 0;
        assert_eq!(across.order("jason", &[false, true, true], is_public), [1, 2, 0]);
        assert_eq!(across.order("jason", &[false, true, false], is_public), [1, 0], "what is private stays out");
        assert_eq!(across.order("other", &[false, true, true], is_public), [1, 2]);
        let nobody = across.order("jason", &[false, false], is_public);
        assert_eq!(nobody, [0_usize; 0], "a reserved name that no private member has");
        assert_eq!(rules(Merge::Package, &["jason"], &[]).order("jason", &[false, true], is_public), [1]);
    }

    fn heard(merge: Merge, shares: &[(bool, MemberShare)]) -> Result<Vec<usize>, Withheld> {
        let mut choice = MemberChoice::new(merge);
        for (member, (claims, share)) in shares.iter().enumerate() {
            if choice.add_member(member, *claims, *share).is_break() {
                break;
            }
        }
        choice.owners()
    }

    #[test]
    fn what_may_not_be_seen_is_answered_by_nobody_else() {
        use MemberShare::{Absent, Has, Withheld as Hidden};
        for (merge, shares, expected) in [
            (Merge::Package, vec![(true, Hidden), (true, Has)], Err(Withheld)),
            (Merge::Package, vec![(true, Has), (true, Hidden)], Ok(vec![0])),
            (Merge::Package, vec![(false, Absent), (false, Has), (false, Has)], Ok(vec![1])),
            (Merge::Release, vec![(true, Hidden), (true, Has)], Ok(vec![1])),
            (Merge::Release, vec![(true, Hidden), (false, Has)], Err(Withheld)),
            (Merge::Release, vec![(true, Has), (true, Absent), (false, Has)], Ok(vec![0, 2])),
            (Merge::Release, vec![(true, Hidden)], Err(Withheld)),
            (Merge::Release, vec![], Ok(vec![])),
        ] {
            assert_eq!(heard(merge, &shares), expected, "{merge:?} {shares:?}");
        }
    }

    proptest! {
        /// In every configuration: if a member claims a name and no exception is configured, only the claimants are
        /// asked; otherwise the public members are asked.
        #[test]
        fn nobody_else_hears_a_name_that_is_claimed(members in proptest::collection::vec(any::<(bool, bool)>(), 0..6), release: bool) {
            let merge = if release { Merge::Release } else { Merge::Package };
            let (claimants, public): (Vec<bool>, Vec<bool>) = members.into_iter().unzip();
            let order = rules(merge, &["other"], &[]).order("name", &claimants, |at| public[at]);
            let heard = if claimants.contains(&true) { claimants } else { public };
            prop_assert_eq!(order, (0..heard.len()).filter(|at| heard[*at]).collect::<Vec<_>>());
        }
    }
}
