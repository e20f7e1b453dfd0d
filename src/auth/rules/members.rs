//! Access to a virtual repository, which is derived from its members. Pure.

use super::super::denied::Denied;
use super::super::grant::ReadGrant;
use super::super::patterns::PatternSet;
use super::super::principal::Caller;
use super::AccessRules;

/// The access rules of a member of a virtual repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRules {
    /// The rules of the member itself.
    pub rules: AccessRules,
    /// Whether access to the virtual repository itself gives access to all of the member through it.
    pub granted: bool,
}

/// The kind of read that a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadTarget {
    /// Download resources and artifacts.
    Fetch,
    /// Download documentation.
    Docs,
    /// Read through the API.
    Api,
}

impl AccessRules {
    /// The access of a command that runs on this machine.
    pub fn console(&self) -> ReadGrant {
        self.whole(&Caller::Anonymous, &PatternSet::everything())
    }

    /// The access to read. `through` are the virtual repositories above this one, for which the credential may have
    /// permission.
    pub(super) fn right(&self, caller: &Caller, right: ReadTarget, through: &[&Self]) -> Result<ReadGrant, Denied> {
        match (&self.members, right) {
            (Some(members), _) => self.of_each(members, caller, right, through),
            (None, ReadTarget::Fetch) => self.fetch(caller, through),
            (None, ReadTarget::Docs) => self.docs(caller, through),
            (None, ReadTarget::Api) => self.show(caller),
        }
    }

    /// Access to each member; members without access are left out. Without any member, access is denied.
    fn of_each(
        &self,
        members: &[MemberRules],
        caller: &Caller,
        right: ReadTarget,
        through: &[&Self],
    ) -> Result<ReadGrant, Denied> {
        if !self.anonymous_read && caller.principal().is_none() {
            return Err(Denied::NeedsCredential);
        }
        let mut above = through.to_vec();
        above.push(self);
        let granted = self.granted_itself(caller, right, through);
        let grants: Vec<Option<ReadGrant>> = members
            .iter()
            .map(|member| match &granted {
                Some(packages) if member.granted => Some(member.rules.whole(caller, packages)),
                _ => member.rules.right(caller, right, &above).ok(),
            })
            .collect();
        if grants.iter().all(Option::is_none) {
            return Err(match (caller.principal(), right) {
                (None, _) => Denied::NeedsCredential,
                (Some(principal), ReadTarget::Api) if !principal.permissions.api_read() => Denied::Scope,
                (Some(_), ReadTarget::Api) => Denied::Hidden,
                (Some(_), _) => Denied::Forbidden,
            });
        }
        let is_everybodys = |grant: &Option<ReadGrant>| grant.as_ref().is_some_and(|grant| grant.public);
        Ok(ReadGrant {
            repository: self.repository.clone(),
            packages: PatternSet::everything(),
            public: self.anonymous_read && grants.iter().all(is_everybodys),
            members: grants,
            caller: caller.clone(),
        })
    }

    /// The access to the virtual repository itself: everybody's if it is public, else limited by the grants of the
    /// account and the permissions of the credential.
    fn granted_itself(&self, caller: &Caller, right: ReadTarget, through: &[&Self]) -> Option<PatternSet> {
        if self.anonymous_read {
            return Some(PatternSet::everything());
        }
        let principal = caller.principal()?;
        let account = self.account(principal)?;
        match right {
            ReadTarget::Fetch | ReadTarget::Docs => Some(account.and(&self.credential(principal, through)?)),
            ReadTarget::Api => principal.permissions.api_read().then_some(account),
        }
    }

    /// The access to these packages, independent of the repository's own rules.
    fn whole(&self, caller: &Caller, packages: &PatternSet) -> ReadGrant {
        let members = self.members.iter().flat_map(|members| members.iter());
        let members: Vec<_> = members.map(|member| Some(member.rules.whole(caller, packages))).collect();
        ReadGrant {
            repository: self.repository.clone(),
            packages: if members.is_empty() { packages.clone() } else { PatternSet::everything() },
            public: false,
            members,
            caller: caller.clone(),
        }
    }
}
