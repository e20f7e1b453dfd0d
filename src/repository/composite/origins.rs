//! Decides which repository a view writes into a dependency (interface §5).

use std::sync::Arc;

use super::claims::Claims;
use super::listing::Listing;
use super::view::View;
use super::{Merge, VirtualOptions};
use crate::hex::name::{PackageName, RepoName};
use crate::policy::merge::{Origins, Rendered};

/// Decides for each dependency whether the view itself serves it.
#[derive(Debug)]
pub(super) struct ViewOrigins {
    pub(super) options: Arc<VirtualOptions>,
    pub(super) view: View,
    pub(super) claims: Arc<Claims>,
    /// The lists of public members, if they decide which member answers.
    pub(super) public: Vec<Option<Arc<Listing>>>,
    /// The package that depends on others.
    pub(super) package: PackageName,
    /// The members that the parts come from.
    pub(super) parts: Vec<usize>,
}

impl Origins for ViewOrigins {
    fn rendered(&self, part: usize, package: &str, repository: Option<&str>) -> Rendered {
        // A private name belongs to this view, whatever a public package says; otherwise clients would fetch it from
        // elsewhere. If shadowing is allowed, both packages may exist, and each dependency refers to its own side.
        let is_private_alone = self.claims.any(package) && !self.options.rules.allow_shadow.allows(package);
        if is_private_alone && self.is_public(part) {
            return Rendered::Omit;
        }
        let homes: Vec<usize> = match repository {
            None => self.parts.get(part).copied().into_iter().collect(),
            Some(word) => (0..self.options.members.len()).filter(|member| self.is_called(*member, word)).collect(),
        };
        let Some(name) = homes.first().and_then(|home| self.name(*home)) else {
            // Not a member. The name of this very repository is omitted.
            return if repository == Some(self.options.identity.name.as_str()) {
                Rendered::Omit
            } else {
                Rendered::Keep
            };
        };
        if *name == self.options.identity.name || homes.iter().any(|home| self.answers(*home, package)) {
            Rendered::Omit
        } else {
            Rendered::Name(name.clone())
        }
    }
}

impl ViewOrigins {
    /// Whether a part comes from a member that is public for this package.
    fn is_public(&self, part: usize) -> bool {
        let Some(member) = self.parts.get(part) else { return true };
        let is_private = self.options.members.get(*member).is_some_and(|member| member.private);
        !is_private && !self.claims.is_claimed_by(*member, self.package.as_str())
    }

    fn name(&self, member: usize) -> Option<&RepoName> {
        self.options.members.get(member).map(|member| member.repository.name())
    }

    fn is_called(&self, member: usize, word: &str) -> bool {
        self.options
            .members
            .get(member)
            .is_some_and(|member| member.repository.name().as_str() == word || member.repository.key().as_str() == word)
    }

    /// Whether the view answers for a package with this member's package.
    fn answers(&self, home: usize, package: &str) -> bool {
        let allows = |member: usize| self.options.members.get(member).is_some_and(|one| one.names.allows(package));
        if !self.options.identity.names.allows(package) || !allows(home) || !self.view.reads(home, package) {
            return false;
        }
        let claimants: Vec<bool> =
            (0..self.options.members.len()).map(|member| self.claims.is_claimed_by(member, package)).collect();
        let is_public = |member: usize| self.options.members.get(member).is_some_and(|one| !one.private);
        // Whether the member really has the package is not checked: the dependency says so.
        let order = self.options.rules.order(package, &claimants, |member| member == home || is_public(member));
        let has = |member: usize| {
            let listed = self.public.get(member).and_then(Option::as_ref);
            allows(member)
                && (claimants.get(member) == Some(&true)
                    || self.view.reads(member, package) && listed.is_some_and(|listed| listed.has(package)))
        };
        match self.options.rules.merge {
            Merge::Release => order.contains(&home),
            Merge::Package => order.into_iter().find(|member| *member == home || has(*member)) == Some(home),
        }
    }
}
