//! Taking in a release: received, looked at, stored, written down, signed.

use super::error::{LocalFailure, WriteError};
use super::{LocalRepository, Mutability, ReleaseMetadata, blocking};
use crate::auth::{Readable, WriteGrant};
use crate::hex::checksum::Sha256;
use crate::hex::invalid::Invalid;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::version::ReleaseVersion;
use crate::hex::{limits, upload};
use crate::state::package_snapshot::PackageSnapshot;
use crate::state::packages::{ListedRelease, Tombstone};
use crate::state::releases::NewRelease;
use crate::store::spool::Finished;
use crate::store::vault::{Intake, Put};

/// An upload on its way in; nothing of it stays if it is dropped.
#[derive(Debug)]
pub struct Upload {
    intake: Intake,
    received: usize,
}

/// An upload that has come in whole.
#[derive(Debug)]
pub struct Received {
    finished: Finished,
}

/// How a release is to be published.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Whether one that is there may be replaced; `None`: nothing was said, and old clients mean yes.
    pub replace: Option<bool>,
    /// The package and version that the address names.
    pub expected: Option<(&'a PackageName, Option<&'a ReleaseVersion>)>,
    /// The virtual repository it is published through.
    pub view: Option<&'a RepoName>,
    /// What whoever publishes may read: nothing else is said to be there. `None`: everything.
    pub readable: Option<&'a Readable>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: ReleaseVersion,
    /// Whether it was not there before.
    pub created: bool,
}

impl Upload {
    /// Takes in the next bytes.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<(), WriteError> {
        self.received = self.received.saturating_add(chunk.len());
        if self.received > limits::TARBALL {
            return Err(WriteError::invalid("tar", "too big"));
        }
        Ok(self.intake.append(chunk).await?)
    }

    /// All has come.
    pub async fn finish(self) -> Result<Received, WriteError> {
        Ok(Received { finished: self.intake.finish().await? })
    }
}

impl LocalRepository {
    /// Begins to take in an upload: a tarball or a documentation archive.
    pub async fn begin_upload(&self) -> Result<Upload, WriteError> {
        Ok(Upload { intake: self.shared.store.begin_intake().await?, received: 0 })
    }

    /// Whose package a tarball is, before anything else of it is judged.
    pub async fn upload_name(&self, received: &Received) -> Result<PackageName, WriteError> {
        let reader = received.finished.reader();
        Ok(blocking(move || Ok(upload::name(reader))).await??)
    }

    /// Publishes a release. When this returns it is on the disk, in the database and in the signed indexes.
    pub async fn publish(
        &self,
        grant: &WriteGrant,
        received: Received,
        how: PublishOptions<'_>,
    ) -> Result<Published, WriteError> {
        let reader = received.finished.reader();
        let package = blocking(move || Ok(upload::package(reader))).await??;
        let metadata = &package.metadata;
        let (name, version) = (metadata.name.clone(), metadata.version.clone());
        self.check_address(&name, &version, how)?;
        self.check_write(grant, &name)?;
        self.check_shadow(&name).await?;
        let requirements = self.resolve(&name, &metadata.requirements, how).await?;

        let changing = self.begin(grant, &name).await?;
        let outer = *received.finished.digest();
        let size = received.finished.length();
        let check = |present: &PackageSnapshot| self.check_version(grant, version.as_str(), &outer, present, how);
        // Most refusals cost no file; what counts is said once more, when nobody else changes anything.
        check(&self.state.present(self.key().as_str(), name.as_str(), version.as_str()).await?)?;
        self.keep_file(received).await?;
        let about = ReleaseMetadata::from(metadata);
        let release = NewRelease {
            inner: &package.inner,
            outer: &outer,
            size,
            about: &about,
            requirements: &requirements,
            publisher: grant.user(),
        };
        let subject = (self.key().as_str(), name.as_str(), Some(version.as_str()));
        let now = self.shared.clock.now();
        let created = self.state.publish(now, subject, &release, grant.by(), check).await??;
        self.write_sidecars(&name).await;
        drop(changing);
        self.announce(&name).await?;
        tracing::info!(
            repository = %self.key(), package = %name, version = %version, by = grant.by().actor.as_deref(), created,
            "published"
        );
        Ok(Published { package: name, version, created })
    }

    fn check_address(
        &self,
        name: &PackageName,
        version: &ReleaseVersion,
        how: PublishOptions<'_>,
    ) -> Result<(), WriteError> {
        let Some((expected, expected_version)) = how.expected else { return Ok(()) };
        if expected != name {
            return Err(WriteError::invalid("name", "metadata does not match package name"));
        }
        if expected_version.is_some_and(|expected| expected != version) {
            return Err(WriteError::invalid("version", "metadata does not match the version of the address"));
        }
        Ok(())
    }

    /// Whether the right covers this package, and the repository takes it.
    pub(super) fn check_write(&self, grant: &WriteGrant, name: &PackageName) -> Result<(), WriteError> {
        if grant.repository() != self.key() || !grant.covers(name) {
            return Err(WriteError::NotGranted);
        }
        if !self.options.identity.names.allows(name.as_str()) {
            return Err(WriteError::invalid("name", "is not among the names that this repository takes"));
        }
        Ok(())
    }

    /// The first release of a package must not take a public one away from those who see both repositories as one. Of a
    /// name that was ours once they see nobody else's.
    async fn check_shadow(&self, name: &PackageName) -> Result<(), WriteError> {
        if self.has_package(name).await? || self.was_ours(name).await? {
            return Ok(());
        }
        match self.directory.shadowed_in(self.key(), name).await {
            Ok(None) => Ok(()),
            Ok(Some(view)) => Err(WriteError::invalid(
                "name",
                format!(
                    "is the name of a public package in \"{view}\", which this one would hide; choose another name, or \
                     let an administrator list it under allow_shadow of \"{view}\""
                ),
            )),
            Err(error) => {
                tracing::error!(
                    repository = %self.key(), package = %name, error = &error as &dyn std::error::Error,
                    "a first release is refused: whether a public package has its name cannot be found out now"
                );
                Err(LocalFailure::Neighbour(Box::new(error)).into())
            }
        }
    }

    /// Whether this version may be published where this is there; says whether it is not there yet.
    fn check_version(
        &self,
        grant: &WriteGrant,
        version: &str,
        outer: &Sha256,
        present: &PackageSnapshot,
        how: PublishOptions<'_>,
    ) -> Result<bool, WriteError> {
        if !present.is_claimed && !self.options.allow_new_packages && !grant.is_administrator() {
            return Err(WriteError::invalid("name", "new packages are not taken by this repository"));
        }
        if let Some(package) = &present.package
            && let Some(there) = package.releases.iter().find(|release| release.version == version)
        {
            self.check_replace(grant, there, package.inserted_at, how)?;
            return Ok(false);
        }
        match &present.tombstone {
            Some(tombstone) if tombstone.is_final => Err(gone_for_good(tombstone)),
            Some(tombstone) if tombstone.outer != *outer => Err(WriteError::invalid(
                "version",
                "was published before with other content and reverted; publish another version, or let an administrator \
                 allow this one with: hexkeep release allow",
            )),
            Some(_) | None => Ok(true),
        }
    }

    fn check_replace(
        &self,
        grant: &WriteGrant,
        there: &ListedRelease,
        born: crate::clock::Timestamp,
        how: PublishOptions<'_>,
    ) -> Result<(), WriteError> {
        if !grant.is_administrator() && !self.may_change(there, born) {
            let message = match self.options.mutability {
                Mutability::Immutable => {
                    "a release of this repository is never replaced: its `mutability` is immutable"
                }
                _ => "can only modify a release up to one hour after publication",
            };
            return Err(WriteError::invalid("inserted_at", message));
        }
        if how.replace == Some(false) {
            let message = "must include the --replace flag to update an existing release";
            return Err(WriteError::invalid("inserted_at", message));
        }
        Ok(())
    }

    /// Publishes a received file under its digest, durably.
    pub(super) async fn keep_file(&self, received: Received) -> Result<(), WriteError> {
        Ok(self.shared.store.local.put(Put::File(received.finished)).await?)
    }
}

impl Received {
    /// Looks at a documentation archive.
    pub(super) async fn check_docs(&self) -> Result<(), WriteError> {
        if self.finished.length() > limits::DOCS as u64 {
            return Err(Invalid::of("tar", "too big").into());
        }
        let reader = self.finished.reader();
        Ok(blocking(move || Ok(upload::docs(reader))).await??)
    }

    pub(super) fn docs(&self) -> super::Docs {
        super::Docs { digest: *self.finished.digest(), size: self.finished.length() }
    }
}

/// What an administrator has removed is not used again.
pub(super) fn gone_for_good(tombstone: &Tombstone) -> WriteError {
    let reason = &tombstone.reason;
    WriteError::invalid("version", format!("was removed by an administrator and cannot be used again: {reason}"))
}
