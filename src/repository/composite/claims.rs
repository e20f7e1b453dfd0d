//! Determines which names belong to private members of a virtual repository. The result does not depend on the caller.
//!
//! A private member claims every name that it has ever had (`state::claims`), and every name in its list. Another name
//! counts as public only if that is certain: the member's list has to be confirmed by its upstream, or its upstream has
//! to be unreachable and its last list recent enough.

mod collect;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) use self::collect::has_unlisted;
use super::listing::{self, Listing};
use super::view::View;
use super::{Member, VirtualOptions};
use crate::cache::registry::Confirmation;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::PolicyName;
use crate::repository::RepoError;
use crate::repository::private_text::TypedText;
use crate::state::claims::{ClaimedNames, ClaimsVersion};

/// The names that the members of a virtual repository claim.
#[derive(Debug)]
pub(super) struct Claims {
    options: Arc<VirtualOptions>,
    members: Vec<Claimed>,
}

#[derive(Debug)]
enum Claimed {
    /// A public member claims nothing.
    Nothing,
    /// A private member claims every name that it has ever had.
    Private(Private),
    /// A virtual member claims what its own members claim.
    Below(Arc<Claims>),
    /// The names of a private member cannot be read: it claims every name that it may answer for.
    Unknown(RepoError),
}

#[derive(Debug)]
struct Private {
    ever: Arc<ClaimedNames>,
    version: ClaimsVersion,
    /// Its list, and how current that is. Without a list it claims every name that it may answer for.
    list: Result<(Arc<Listing>, Confirmation), RepoError>,
}

impl Private {
    fn has(&self, name: &str) -> bool {
        self.ever.has(name) || self.list.as_ref().is_ok_and(|(listing, _)| listing.has(name))
    }
}

/// Whether a member claims a name.
#[derive(Clone, Debug)]
pub(super) enum Claimant {
    /// It claims the name, or has the package.
    Yes,
    /// It does not claim the name and does not have the package, or it is public.
    No,
    /// It does not claim the name, and has not been asked for the package.
    NotAskedYet,
    /// This could not be determined.
    Failed(RepoError),
}

impl Claimant {
    /// Combines the results of the members to that of their virtual repository.
    pub(super) fn any(members: impl IntoIterator<Item = Self>) -> Self {
        members.into_iter().fold(Self::No, |all, one| match (all, one) {
            (Self::Failed(error), _) | (_, Self::Failed(error)) => Self::Failed(error),
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::NotAskedYet, _) | (_, Self::NotAskedYet) => Self::NotAskedYet,
            (Self::No, Self::No) => Self::No,
        })
    }

    /// Whether the name is claimed, if this could be determined.
    pub(super) fn known(&self) -> Result<bool, RepoError> {
        match self {
            Self::Yes => Ok(true),
            Self::No | Self::NotAskedYet => Ok(false),
            Self::Failed(error) => Err(error.clone()),
        }
    }
}

/// Whether a member is asked for a policy.
#[derive(Clone, Copy, Debug)]
pub(super) enum PolicyClaim<'a> {
    /// No: it is public, or the name belongs to another member.
    Never,
    /// Not needed: it has had the policy, now or in the past.
    Had,
    /// Yes. Its list of names is this current.
    Ask(&'a Confirmation),
    /// This depends on its own members.
    Below(&'a Claims),
}

/// Whether a member may answer for a name.
fn may_have(member: &Member, name: &str) -> bool {
    member.names.allows(name) && member.repository.identity().names.allows(name)
}

/// Whether a member may claim a name. This includes names that its repository excludes: other members may not answer
/// for them either.
pub(super) fn may_claim(member: &Member, name: &str) -> bool {
    member.names.allows(name) && member.repository.identity().names.includes(name)
}

impl Claims {
    /// Whether a member claims a name.
    pub(super) fn is_claimed_by(&self, member: usize, name: &str) -> bool {
        let allowed = self.options.members.get(member).is_some_and(|member| may_claim(member, name));
        allowed
            && match self.members.get(member) {
                Some(Claimed::Private(private)) => private.has(name),
                Some(Claimed::Below(claims)) => claims.any(name),
                Some(Claimed::Nothing | Claimed::Unknown(_)) | None => false,
            }
    }

    /// Since when a member has claimed a name that it had once and no longer lists.
    pub(super) fn unlisted_claim_since(&self, member: usize, name: &str) -> Option<Timestamp> {
        match self.members.get(member)? {
            Claimed::Private(Private { ever, list: Ok((listing, _)), .. }) if !listing.has(name) => ever.since(name),
            Claimed::Below(claims) => {
                (0..claims.members.len()).filter_map(|below| claims.unlisted_claim_since(below, name)).min()
            }
            Claimed::Nothing | Claimed::Private(_) | Claimed::Unknown(_) => None,
        }
    }

    /// What the claims of a member say about a name, before the member is asked for the package.
    pub(super) fn claimant(&self, member: usize, name: &str) -> Claimant {
        let Some(of) = self.options.members.get(member).filter(|member| may_claim(member, name)) else {
            return Claimant::No;
        };
        match self.members.get(member) {
            None | Some(Claimed::Nothing) => Claimant::No,
            Some(Claimed::Private(private)) if private.has(name) => Claimant::Yes,
            // A member is not asked for a name that it may not answer for.
            Some(_) if !may_have(of, name) => Claimant::No,
            Some(Claimed::Private(Private { list: Err(error), .. }) | Claimed::Unknown(error)) => {
                Claimant::Failed(error.clone())
            }
            Some(Claimed::Private(_)) => Claimant::NotAskedYet,
            Some(Claimed::Below(claims)) => claims.combined_claimant(name),
        }
    }

    /// What the claims of all members say about a name, before any of them is asked for the package. A reserved name is
    /// claimed.
    pub(super) fn combined_claimant(&self, name: &str) -> Claimant {
        if !self.options.identity.names.allows(name) {
            return Claimant::No;
        }
        let reserved = if self.options.rules.reserve.allows(name) { Claimant::Yes } else { Claimant::No };
        Claimant::any((0..self.members.len()).map(|member| self.claimant(member, name)).chain([reserved]))
    }

    /// Whether a member is asked for a policy, to find the member that has it. The name may also be that of a package:
    /// if members claim the package, only those are asked. Otherwise, if members have had the policy, only those are
    /// asked.
    pub(super) fn policy_claim(&self, member: usize, name: &PolicyName) -> PolicyClaim<'_> {
        let name = name.as_str();
        let mut all = 0..self.members.len();
        let is_others = if all.clone().any(|one| self.is_claimed_by(one, name)) {
            !self.is_claimed_by(member, name)
        } else {
            all.any(|one| self.has_had_policy(one, name)) && !self.has_had_policy(member, name)
        };
        match self.members.get(member) {
            _ if is_others => PolicyClaim::Never,
            Some(Claimed::Private(private)) if private.ever.has_policy(name) => PolicyClaim::Had,
            Some(Claimed::Private(Private { list: Ok((_, standing)), .. })) => PolicyClaim::Ask(standing),
            Some(Claimed::Below(claims)) => PolicyClaim::Below(claims),
            // The callers have checked that the claims are known.
            Some(Claimed::Private(_) | Claimed::Nothing | Claimed::Unknown(_)) | None => PolicyClaim::Never,
        }
    }

    /// Whether a private member, or a private member of a virtual one, has had a policy.
    fn has_had_policy(&self, member: usize, name: &str) -> bool {
        match self.members.get(member) {
            Some(Claimed::Private(private)) => private.ever.has_policy(name),
            Some(Claimed::Below(claims)) => (0..claims.members.len()).any(|below| claims.has_had_policy(below, name)),
            Some(Claimed::Nothing | Claimed::Unknown(_)) | None => false,
        }
    }

    /// The claims of the members of a virtual member.
    pub(super) fn below(&self, member: usize) -> Option<&Self> {
        match self.members.get(member)? {
            Claimed::Below(claims) => Some(claims),
            Claimed::Nothing | Claimed::Private(_) | Claimed::Unknown(_) => None,
        }
    }

    /// How current the list of a private member is; `None` if it has no list.
    pub(super) fn list_confirmation(&self, member: usize) -> Option<&Confirmation> {
        match self.members.get(member)? {
            Claimed::Private(Private { list: Ok((_, standing)), .. }) => Some(standing),
            Claimed::Nothing | Claimed::Private(_) | Claimed::Below(_) | Claimed::Unknown(_) => None,
        }
    }

    /// The version of what a private member has ever had.
    pub(super) fn version(&self, member: usize) -> Option<ClaimsVersion> {
        match self.members.get(member)? {
            Claimed::Private(private) => Some(private.version),
            Claimed::Nothing | Claimed::Below(_) | Claimed::Unknown(_) => None,
        }
    }

    /// Whether the last list of any member counts because its upstream gave no answer.
    pub(super) fn counts_on_silent_members(&self) -> bool {
        self.members.iter().any(|claimed| match claimed {
            Claimed::Private(Private { list: Ok((_, standing)), .. }) => {
                matches!(standing, Confirmation::UpstreamUnreachable(_))
            }
            Claimed::Below(claims) => claims.counts_on_silent_members(),
            Claimed::Nothing | Claimed::Private(_) | Claimed::Unknown(_) => false,
        })
    }

    /// Fails unless the claims are known for all names.
    fn are_known(&self) -> Result<(), RepoError> {
        self.members.iter().try_for_each(|claimed| match claimed {
            Claimed::Below(claims) => claims.are_known(),
            Claimed::Unknown(error) | Claimed::Private(Private { list: Err(error), .. }) => Err(error.clone()),
            Claimed::Private(Private { list: Ok((_, Confirmation::UnsignedAnswer(error))), .. }) => {
                Err(error.clone().into())
            }
            Claimed::Nothing | Claimed::Private(_) => Ok(()),
        })
    }

    /// Whether any member claims the name, or the name is reserved.
    pub(super) fn any(&self, name: &str) -> bool {
        self.options.identity.names.allows(name)
            && (self.options.rules.reserve.allows(name)
                || (0..self.members.len()).any(|member| self.is_claimed_by(member, name)))
    }

    /// Whether a text contains a claimed or reserved name. If the names of a member are unknown, this is assumed.
    pub(super) fn are_named_in(&self, text: &TypedText) -> bool {
        let rules = &self.options.rules;
        text.names_any_of(&rules.reserve, &rules.reserve_patterns)
            || self.members.iter().any(|member| match member {
                Claimed::Nothing => false,
                Claimed::Private(Private { ever, list, .. }) => {
                    ever.any(|name| text.contains_name(name))
                        || list
                            .as_ref()
                            .map_or(true, |(listing, _)| listing.names().any(|name| text.contains_name(name)))
                }
                Claimed::Below(claims) => claims.are_named_in(text),
                Claimed::Unknown(_) => true,
            })
    }

    /// The names that members list and claim, if the view may show them.
    pub(super) fn seen(&self, view: &View) -> BTreeSet<Box<str>> {
        let mut names = BTreeSet::new();
        for (at, claimed) in self.members.iter().enumerate() {
            let of_member: BTreeSet<Box<str>> = match (claimed, view.below(at)) {
                (Claimed::Private(Private { list: Ok((listing, _)), .. }), None) => {
                    listing.names().map(Into::into).collect()
                }
                (Claimed::Below(claims), Some(below)) => claims.seen(below),
                _ => BTreeSet::new(),
            };
            let shown = |name: &str| {
                view.reads(at, name) && self.options.identity.names.allows(name) && self.is_claimed_by(at, name)
            };
            names.extend(of_member.into_iter().filter(|name| shown(name)));
        }
        names
    }

    /// Digests of the claimed names: claims with equal digests are equal, whatever has changed within the packages.
    pub(super) fn digests(&self, digests: &mut Vec<Sha256>) {
        for member in &self.members {
            match member {
                Claimed::Nothing => {}
                Claimed::Unknown(_) => digests.push(Sha256::of(b"unknown")),
                Claimed::Private(private) => {
                    digests.push(Sha256::of(&private.version.to_bytes()));
                    digests.push(match &private.list {
                        Ok((listing, _)) => listing.names_digest,
                        Err(_) => Sha256::of(b"unheard"),
                    });
                }
                Claimed::Below(claims) => claims.digests(digests),
            }
        }
    }

    /// Collects the names that may be claimed before and not now, or the other way round.
    pub(super) fn changed(before: &Self, now: &Self, names: &mut BTreeSet<Box<str>>) {
        let nothing = Listing::empty();
        for pair in before.members.iter().zip(&now.members) {
            match pair {
                (Claimed::Private(before), Claimed::Private(now)) => {
                    names.extend(now.ever.changed_since(before.version).iter().map(|name| Box::from(&**name)));
                    let [before, now] = [before, now].map(|one| one.list.as_ref().ok().map(|(listing, _)| &**listing));
                    listing::changed(before.unwrap_or(&nothing), now.unwrap_or(&nothing), names);
                }
                (Claimed::Below(before), Claimed::Below(now)) => Self::changed(before, now, names),
                _ => {}
            }
        }
    }
}
