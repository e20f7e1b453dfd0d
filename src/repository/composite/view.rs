//! What of a virtual repository a caller may see.

use std::sync::Arc;

use super::VirtualRepository;
use crate::auth::{PatternSet, ReadGrant};
use crate::repository::Repository;

/// The members that a caller may read, and how much of each. Made of the caller's right, or of nobody's: then it shows
/// all, and what is made of it is for the server itself.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Two views of one repository with the same scope are the same.
    pub(super) scope: Arc<str>,
    whole: bool,
    members: Arc<[Seen]>,
}

#[derive(Debug)]
struct Seen {
    packages: Option<PatternSet>,
    /// Of a member that is virtual itself.
    below: Option<View>,
}

impl View {
    pub(super) fn of(grant: &ReadGrant) -> Self {
        let seen = |member: &Option<ReadGrant>| Seen {
            packages: member.as_ref().map(|grant| grant.packages().clone()),
            below: member.as_ref().filter(|grant| !grant.members().is_empty()).map(Self::of),
        };
        Self {
            scope: grant.scope().into(),
            whole: grant.is_whole(),
            members: grant.members().iter().map(seen).collect(),
        }
    }

    /// Everything.
    pub(super) fn whole(repository: &VirtualRepository) -> Self {
        let seen = |member: &super::Member| Seen {
            packages: Some(PatternSet::everything()),
            below: member.repository.as_virtual().map(|below| Self::whole(below)),
        };
        let members: Arc<[Seen]> = repository.members().iter().map(seen).collect();
        let text = |seen: &Seen| seen.below.as_ref().map_or_else(|| "*".to_owned(), |below| below.scope.to_string());
        let texts: Vec<String> = members.iter().map(text).collect();
        Self { scope: format!("*({})", texts.join(",")).into(), whole: true, members }
    }

    /// Whether it shows all that there is.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the member is seen at all.
    pub(super) fn sees(&self, member: usize) -> bool {
        self.members.get(member).is_some_and(|seen| seen.packages.is_some())
    }

    /// Whether a package of the member is seen.
    pub(super) fn reads(&self, member: usize, package: &str) -> bool {
        let packages = self.members.get(member).and_then(|seen| seen.packages.as_ref());
        packages.is_some_and(|packages| packages.allows(package))
    }

    /// The view of a member that is virtual itself.
    pub(super) fn below(&self, member: usize) -> Option<&Self> {
        self.members.get(member)?.below.as_ref()
    }
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
