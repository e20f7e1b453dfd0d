//! Changes published packages: reverts, retires, sets docs and owners, and does what only administrators may do.

use std::sync::Arc;

use super::error::WriteError;
use super::index::Entry;
use super::publish::{Received, gone_for_good};
use super::{LocalRepository, Mutability, OwnerLevel, Retirement};
use crate::auth::{ChangedBy, Readable, WriteGrant};
use crate::choice::Choice as _;
use crate::hex::build::RetirementReason;
use crate::hex::invalid::Invalid;
use crate::hex::metadata;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::version::ReleaseVersion;
use crate::state::claims::ForgottenName;
use crate::state::owners::Owners;
use crate::state::packages::{ListedPackage, ListedRelease};

/// Allowed length of a retirement message, in characters.
const MESSAGE: std::ops::RangeInclusive<usize> = 3..=140;

/// How many dependent packages an error lists.
const NAMED: usize = 5;

impl LocalRepository {
    /// Reverts a release: removes it with its docs. Its version cannot be published again with other content.
    pub async fn revert(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
        readable: &Readable,
    ) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let dependants = self.state.dependants(self.key().as_str(), name.as_str()).await?;
        let check = |package: &ListedPackage| self.check_revert(grant, package, version, &dependants, readable);
        if !self.remove_release(grant, name, version.as_str(), (false, "reverted by its publisher"), check).await? {
            return Err(WriteError::NotFound);
        }
        self.take_over(name).await;
        Ok(())
    }

    /// Checks whether a release may be reverted.
    fn check_revert(
        &self,
        grant: &WriteGrant,
        package: &ListedPackage,
        version: &ReleaseVersion,
        dependants: &[(RepoName, String)],
        readable: &Readable,
    ) -> Result<(), WriteError> {
        let mut releases = package.releases.iter().filter(|release| release.version == version.as_str());
        let is_fixed = |release: &ListedRelease| !self.may_change(release, package.inserted_at);
        if !grant.is_administrator() && releases.any(is_fixed) {
            let message = match self.options.mutability {
                Mutability::Immutable => "releases of this repository cannot be deleted: its `mutability` is immutable",
                _ => "can only delete a release up to one hour after publication",
            };
            return Err(WriteError::invalid("inserted_at", message));
        }
        if package.releases.len() == 1 { check_dependants(dependants, readable) } else { Ok(()) }
    }

    /// Removes releases permanently, whatever their age; without a version, all of the package. For administrators.
    pub async fn remove(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: Option<&ReleaseVersion>,
        reason: &str,
    ) -> Result<usize, WriteError> {
        let _one = self.begin(grant, name).await?;
        if !grant.is_administrator() {
            return Err(WriteError::NotGranted);
        }
        let package = self.index.committed(name).await?.ok_or(WriteError::NotFound)?;
        let wanted = |release: &&ListedRelease| version.is_none_or(|version| release.version == version.as_str());
        let releases: Vec<&ListedRelease> = package.releases().iter().filter(wanted).collect();
        if releases.is_empty() {
            return Err(WriteError::NotFound);
        }
        let mut removed = Ok(releases.len());
        for release in &releases {
            if let Err(error) = self.remove_release(grant, name, &release.version, (true, reason), |_| Ok(())).await {
                removed = Err(error);
                break;
            }
        }
        // Removals before the one that failed are published, too.
        self.take_over(name).await;
        removed
    }

    /// Gives up the claim to a name that has no releases, for administrators. Other repositories may answer for it
    /// then, and its owners are removed.
    pub async fn forget_name(&self, grant: &WriteGrant, name: &PackageName) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        if !grant.is_administrator() {
            return Err(WriteError::NotGranted);
        }
        let subject = (self.key().as_str(), name.as_str());
        match self.state.forget_name(self.shared.clock.now(), subject, grant.by()).await? {
            ForgottenName::Done => {}
            ForgottenName::Unclaimed => return Err(WriteError::NotFound),
            ForgottenName::HasReleases => {
                return Err(WriteError::invalid("name", "has releases; remove them first"));
            }
        }
        self.announce_changed(name);
        Ok(())
    }

    /// Allows a reverted version to be published again with other content, for administrators. A version that an
    /// administrator has removed stays removed.
    pub async fn allow_again(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
    ) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let tombstone = self.state.tombstone(self.key().as_str(), name.as_str(), version.as_str()).await?;
        let tombstone = tombstone.ok_or(WriteError::NotFound)?;
        if tombstone.is_final {
            return Err(gone_for_good(&tombstone));
        }
        // The file is removed first: after a crash, a file without a row in the database would block all changes to the
        // package. A row without a file is owed.
        self.state.owe_sidecars(self.key().as_str(), &[name.as_str()]).await?;
        self.remove_sidecar(name, version.as_str()).await?;
        let subject = (self.key().as_str(), name.as_str(), Some(version.as_str()));
        let cleared = self.state.clear_tombstone(self.shared.clock.now(), subject, grant.by()).await;
        self.write_sidecars(name).await;
        if cleared? { Ok(()) } else { Err(WriteError::NotFound) }
    }

    /// Retires a release.
    pub async fn retire(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
        reason: Option<&str>,
        message: Option<&str>,
    ) -> Result<(), WriteError> {
        let retirement = retirement(reason, message)?;
        let _one = self.begin(grant, name).await?;
        let (_, release) = self.find(name, version).await?;
        self.set_retirement(grant, name, &release, Some(&retirement)).await?;
        self.take_over(name).await;
        Ok(())
    }

    /// Retires all releases of a package that are not retired, or all with `replace`.
    pub async fn retire_all(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        reason: Option<&str>,
        message: Option<&str>,
        replace: bool,
    ) -> Result<(), WriteError> {
        let retirement = retirement(reason, message)?;
        let _one = self.begin(grant, name).await?;
        let package = self.index.committed(name).await?.ok_or(WriteError::NotFound)?;
        for release in package.releases().iter().filter(|release| replace || release.retirement.is_none()) {
            self.set_retirement(grant, name, release, Some(&retirement)).await?;
        }
        self.take_over(name).await;
        Ok(())
    }

    /// Removes the retirement of a release.
    pub async fn unretire(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
    ) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let (_, release) = self.find(name, version).await?;
        if release.retirement.is_some() {
            self.set_retirement(grant, name, &release, None).await?;
            self.take_over(name).await;
        }
        Ok(())
    }

    /// Publishes the documentation of a release; it replaces the previous one.
    pub async fn put_docs(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
        received: Received,
    ) -> Result<(), WriteError> {
        self.find(name, version).await?;
        received.check_docs().await?;
        let _one = self.begin(grant, name).await?;
        let (_, release) = self.find(name, version).await?;
        let docs = received.docs();
        self.keep_file(received).await?;
        let subject = (self.key().as_str(), name.as_str(), Some(release.version.as_str()));
        if !self.state.set_docs(self.shared.clock.now(), subject, Some(&docs), grant.by()).await? {
            return Err(WriteError::NotFound);
        }
        self.take_over(name).await;
        Ok(())
    }

    /// Removes the documentation of a release.
    pub async fn delete_docs(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &ReleaseVersion,
    ) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let (_, release) = self.find(name, version).await?;
        if release.docs.is_some() {
            let subject = (self.key().as_str(), name.as_str(), Some(release.version.as_str()));
            self.state.set_docs(self.shared.clock.now(), subject, None, grant.by()).await?;
            self.take_over(name).await;
        }
        Ok(())
    }

    /// Makes a user an owner, or changes an owner's level; with `transfer` the user becomes the only owner.
    pub async fn set_owner(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        username: &str,
        level: OwnerLevel,
        transfer: bool,
    ) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let check = |owners: &Owners| {
            let others = owners.iter().any(|(owner, level)| owner != username && *level == OwnerLevel::Full);
            let is_full = owners.get(username) == Some(&OwnerLevel::Full);
            if level < OwnerLevel::Full && (is_full && !others || transfer) {
                return Err(WriteError::invalid("username", "cannot demote the last full owner of a package"));
            }
            Ok(())
        };
        let subject = (self.key().as_str(), name.as_str(), None);
        let now = self.shared.clock.now();
        if !self.state.set_owner(now, subject, (username, level), transfer, grant.by(), check).await?? {
            return Err(WriteError::NotFound);
        }
        self.write_sidecars(name).await;
        Ok(())
    }

    /// Makes the organization of the repository the owner of a package: no user owns it any more.
    pub async fn disown(&self, grant: &WriteGrant, name: &PackageName, organization: &str) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let subject = (self.key().as_str(), name.as_str(), None);
        if !self.state.disown(self.shared.clock.now(), subject, organization, grant.by()).await? {
            return Err(WriteError::NotFound);
        }
        self.write_sidecars(name).await;
        Ok(())
    }

    /// Removes an owner from a package. The last one stays, unless an administrator removes it and members of the
    /// organization can change the package anyway.
    pub async fn remove_owner(&self, grant: &WriteGrant, name: &PackageName, username: &str) -> Result<(), WriteError> {
        let _one = self.begin(grant, name).await?;
        let access = &self.options.identity.access;
        let may_take = grant.is_administrator() && access.changed_by() == ChangedBy::Members;
        let check = |owners: &Owners| {
            let refuse = |message: &str| Err(WriteError::invalid("username", message));
            if owners.is_empty() && access.organization() == Some(username) {
                return refuse("cannot remove last owner of package");
            }
            if !owners.contains_key(username) {
                return refuse("user is not an owner of package");
            }
            if owners.len() == 1 && !may_take {
                return refuse("cannot remove last owner of package");
            }
            let full = owners.iter().any(|(owner, level)| owner != username && *level == OwnerLevel::Full);
            if full || may_take { Ok(()) } else { refuse("cannot remove the last full owner of package") }
        };
        let subject = (self.key().as_str(), name.as_str(), None);
        if !self.state.remove_owner(self.shared.clock.now(), subject, username, grant.by(), check).await?? {
            return Err(WriteError::NotFound);
        }
        self.write_sidecars(name).await;
        Ok(())
    }

    /// Checks the right, waits for a running change, and then checks that the right still holds and that the database
    /// has everything that the files contain about the package. After this the change waits for nothing but the disk.
    pub(super) async fn begin(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, WriteError> {
        if grant.repository() != self.key() || !grant.covers(name) {
            return Err(WriteError::NotGranted);
        }
        let one = self.changing.lock().await;
        grant.confirm().await.map_err(WriteError::Withdrawn)?;
        self.check_known(name).await?;
        Ok(one)
    }

    async fn find(
        &self,
        name: &PackageName,
        version: &ReleaseVersion,
    ) -> Result<(Arc<Entry>, ListedRelease), WriteError> {
        let package = self.index.committed(name).await?.ok_or(WriteError::NotFound)?;
        let release = package.release(version.as_str()).cloned().ok_or(WriteError::NotFound)?;
        Ok((package, release))
    }

    /// Removes a release, with a reason, permanently or not; returns whether it existed.
    async fn remove_release(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        version: &str,
        how: (bool, &str),
        check: impl Fn(&ListedPackage) -> Result<(), WriteError>,
    ) -> Result<bool, WriteError> {
        let subject = (self.key().as_str(), name.as_str(), Some(version));
        self.state.remove_release(self.shared.clock.now(), subject, how, grant.by(), check).await?
    }

    async fn set_retirement(
        &self,
        grant: &WriteGrant,
        name: &PackageName,
        release: &ListedRelease,
        retirement: Option<&Retirement>,
    ) -> Result<(), WriteError> {
        let subject = (self.key().as_str(), name.as_str(), Some(release.version.as_str()));
        match self.state.retire(self.shared.clock.now(), subject, retirement, grant.by()).await? {
            true => Ok(()),
            false => Err(WriteError::NotFound),
        }
    }

    /// Writes the committed change to the files beside the tarballs and into the signed indexes.
    async fn take_over(&self, name: &PackageName) {
        self.write_sidecars(name).await;
        self.announce(name).await;
    }
}

fn check_dependants(dependants: &[(RepoName, String)], readable: &Readable) -> Result<(), WriteError> {
    if dependants.is_empty() {
        return Ok(());
    }
    let mut faults = Invalid::of("name", "you cannot delete this package because other packages depend on it");
    let seen = |(repository, name): &&(RepoName, String)| readable.allows(repository, name);
    let named: Vec<_> = dependants.iter().filter(seen).take(NAMED).map(|(of, name)| format!("{of}/{name}")).collect();
    let named = if named.is_empty() { "packages that you may not read".to_owned() } else { named.join(", ") };
    faults.push(&["dependants"], named);
    Err(faults.into())
}

fn retirement(reason: Option<&str>, message: Option<&str>) -> Result<Retirement, WriteError> {
    let mut found = Invalid::default();
    let reason = reason.filter(|reason| !reason.is_empty());
    let known = reason.and_then(RetirementReason::from_word);
    if known.is_none() {
        found.push(&["retirement", "reason"], if reason.is_some() { "is invalid" } else { "can't be blank" });
    }
    let message = message.filter(|message| !message.is_empty());
    if message.is_some_and(|message| !metadata::is_printable(message)) {
        found.push(&["retirement", "message"], "has control characters");
    }
    match message.map(|message| message.chars().count()) {
        Some(length) if length < *MESSAGE.start() => {
            found.push(&["retirement", "message"], "should be at least 3 character(s)");
        }
        Some(length) if length > *MESSAGE.end() => {
            found.push(&["retirement", "message"], "should be at most 140 character(s)");
        }
        Some(_) | None => {}
    }
    match known {
        Some(reason) if found.is_empty() => Ok(Retirement { reason, message: message.map(str::to_owned) }),
        _ => Err(WriteError::Invalid(found)),
    }
}
