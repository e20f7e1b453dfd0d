//! The part of a virtual repository that a caller may see.

use std::sync::Arc;

use super::{Member, VirtualRepository};
use crate::auth::{PatternSet, ReadGrant};
use crate::repository::Repository;
use crate::repository::enforcer::Enforcer;

/// The members that a caller may read, the packages of each, and the policies that apply. A view is built from a
/// caller's right, or without one: then it shows everything, and its results are only for the server itself.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Two views of one repository with the same scope are the same.
    pub(super) scope: Arc<str>,
    whole: bool,
    /// Whether it is the view at the repository's own address.
    plain: bool,
    /// The policies of this repository and of those through which it is seen, the outermost first; `None`: no policy
    /// applies.
    policies: Option<Arc<[Arc<Enforcer>]>>,
    members: Arc<[Seen]>,
}

#[derive(Debug)]
struct Seen {
    packages: Option<PatternSet>,
    /// For a virtual member: the view of it.
    below: Option<View>,
    /// The same view without policies.
    unheld: Option<View>,
}

impl View {
    /// The view that a grant for this repository allows.
    pub(super) fn of(repository: &VirtualRepository, grant: &ReadGrant) -> Self {
        Self::new(repository, Some(grant), Some(&[]))
    }

    /// Everything, filtered by its policies.
    pub(super) fn whole(repository: &VirtualRepository) -> Self {
        Self::new(repository, None, Some(&[]))
    }

    /// Everything, including releases held by policy.
    pub(super) fn unheld(repository: &VirtualRepository) -> Self {
        Self::new(repository, None, None)
    }

    /// `above`: the policies of the repositories through which this one is seen.
    fn new(repository: &VirtualRepository, grant: Option<&ReadGrant>, above: Option<&[Arc<Enforcer>]>) -> Self {
        let policies: Option<Arc<[_]>> =
            above.map(|above| above.iter().chain(repository.enforcer()).map(Arc::clone).collect());
        let members = repository.members().iter().enumerate().map(|(at, member)| {
            let right = match grant {
                None => Some(None),
                Some(grant) => grant.members().get(at).and_then(Option::as_ref).map(Some),
            };
            let below = |above: Option<&[_]>| Some(Self::new(member.repository.as_virtual()?, right?, above));
            Seen {
                packages: right.map(|right| right.map_or_else(PatternSet::everything, |one| one.packages().clone())),
                below: below(policies.as_deref()),
                unheld: below(None),
            }
        });
        let members = members.collect();
        let shown = grant.map_or_else(|| everything(repository), ReadGrant::scope);
        let scope = match above {
            None => format!("unheld {shown}"),
            Some([]) => shown,
            Some(above) => format!("{shown} through {}", keys(above)),
        };
        Self {
            scope: scope.into(),
            whole: grant.is_none_or(ReadGrant::is_whole),
            plain: above.is_some_and(<[_]>::is_empty),
            policies,
            members,
        }
    }

    /// The policies that apply to this view.
    pub(super) fn policies(&self) -> &[Arc<Enforcer>] {
        self.policies.as_deref().unwrap_or_default()
    }

    /// The keys of the repositories that have these policies, which identify the policies.
    pub(super) fn under(&self) -> Arc<str> {
        keys(self.policies()).into()
    }

    /// Whether no policy applies, not even those of members.
    pub(super) fn is_unheld(&self) -> bool {
        self.policies.is_none()
    }

    /// Whether it is the complete view at the repository's own address.
    pub(super) fn is_main(&self) -> bool {
        self.whole && self.plain
    }

    /// Whether the view includes the member.
    pub(super) fn sees(&self, member: usize) -> bool {
        self.members.get(member).is_some_and(|seen| seen.packages.is_some())
    }

    /// Whether the view includes a package of the member.
    pub(super) fn reads(&self, member: usize, package: &str) -> bool {
        let packages = self.members.get(member).and_then(|seen| seen.packages.as_ref());
        packages.is_some_and(|packages| packages.allows(package))
    }

    /// The view of a virtual member.
    pub(super) fn below(&self, member: usize) -> Option<&Self> {
        self.members.get(member)?.below.as_ref()
    }

    /// The view of a virtual member, including releases held by policy.
    pub(super) fn unheld_below(&self, member: usize) -> Option<&Self> {
        self.members.get(member)?.unheld.as_ref()
    }
}

fn keys(policies: &[Arc<Enforcer>]) -> String {
    policies.iter().map(|one| one.view().as_str()).collect::<Vec<_>>().join(",")
}

/// The scope of everything that a repository has.
fn everything(repository: &VirtualRepository) -> String {
    let member = |member: &Member| member.repository.as_virtual().map_or_else(|| "*".to_owned(), |one| everything(one));
    format!("*({})", repository.members().iter().map(member).collect::<Vec<_>>().join(","))
}

impl Repository {
    /// The virtual repository, if it is one.
    pub(crate) fn as_virtual(&self) -> Option<&Arc<VirtualRepository>> {
        match self {
            Self::Virtual(composed) => Some(composed),
            Self::Remote(_) | Self::Local(_) => None,
        }
    }
}
