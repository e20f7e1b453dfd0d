//! Publishes releases: receives, checks, stores, records and signs them.

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

/// A running upload; if it is dropped, nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    intake: Intake,
    received: usize,
}

/// A complete upload.
#[derive(Debug)]
pub struct Received {
    finished: Finished,
}

/// The options of a publish.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Whether an existing release may be replaced; `None`: the client did not say, as old clients do, and it may.
    pub replace: Option<bool>,
    /// The package and version in the request's address.
    pub expected: Option<(&'a PackageName, Option<&'a ReleaseVersion>)>,
    /// The virtual repository that it is published through.
    pub view: Option<&'a RepoName>,
    /// What the publisher may read; everything else counts as missing. `None`: everything.
    pub readable: Option<&'a Readable>,
}

/// The published release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: ReleaseVersion,
    /// Whether it is new.
    pub created: bool,
}

impl Upload {
    /// Appends the next bytes.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<(), WriteError> {
        self.received = self.received.saturating_add(chunk.len());
        if self.received > limits::TARBALL {
            return Err(WriteError::invalid("tar", "too big"));
        }
        Ok(self.intake.append(chunk).await?)
    }

    /// Ends the upload.
    pub async fn finish(self) -> Result<Received, WriteError> {
        Ok(Received { finished: self.intake.finish().await? })
    }
}

impl LocalRepository {
    /// Starts an upload of a tarball or a documentation archive.
    pub async fn begin_upload(&self) -> Result<Upload, WriteError> {
        Ok(Upload { intake: self.shared.store.begin_intake().await?, received: 0 })
    }

    /// The name of the package in a tarball, before anything else of it is checked.
    pub async fn upload_name(&self, received: &Received) -> Result<PackageName, WriteError> {
        let reader = received.finished.reader();
        Ok(blocking(move || Ok(upload::name(reader))).await??)
    }

    /// Publishes a release. When this returns, it is on the disk, in the database and in the signed indexes.
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
        // Most releases are refused here, before a file is stored. The check is repeated in the transaction, which
        // decides.
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
        self.announce(&name).await;
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
            return Err(WriteError::invalid("version", "metadata does not match the version in the URL"));
        }
        Ok(())
    }

    /// Checks that the right covers this package, and that the repository accepts it.
    pub(super) fn check_write(&self, grant: &WriteGrant, name: &PackageName) -> Result<(), WriteError> {
        if grant.repository() != self.key() || !grant.covers(name) {
            return Err(WriteError::NotGranted);
        }
        if !self.options.identity.names.allows(name.as_str()) {
            return Err(WriteError::invalid("name", "is not among the names that this repository accepts"));
        }
        Ok(())
    }

    /// The first release of a package must not hide a public package from the readers of a virtual repository. It
    /// cannot do so if the repository had the name before, because then the name is claimed.
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
                     ask an administrator to add it to allow_shadow of \"{view}\""
                ),
            )),
            Err(error) => {
                tracing::error!(
                    repository = %self.key(), package = %name, error = &error as &dyn std::error::Error,
                    "a first release is refused: it is unknown whether a public package has the same name"
                );
                Err(LocalFailure::Neighbour(Box::new(error)).into())
            }
        }
    }

    /// Checks whether this version may be published, given what is present; returns whether it is new.
    fn check_version(
        &self,
        grant: &WriteGrant,
        version: &str,
        outer: &Sha256,
        present: &PackageSnapshot,
        how: PublishOptions<'_>,
    ) -> Result<bool, WriteError> {
        if !present.is_claimed && !self.options.allow_new_packages && !grant.is_administrator() {
            return Err(WriteError::invalid("name", "this repository does not accept new packages"));
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
                "was published before with other content and reverted; publish another version, or ask an administrator to \
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
                    "releases of this repository cannot be replaced: its `mutability` is immutable"
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

    /// Stores a received file under its digest, durably.
    pub(super) async fn keep_file(&self, received: Received) -> Result<(), WriteError> {
        Ok(self.shared.store.local.put(Put::File(received.finished)).await?)
    }
}

impl Received {
    /// Checks a documentation archive.
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

/// A version that an administrator has removed cannot be used again.
pub(super) fn gone_for_good(tombstone: &Tombstone) -> WriteError {
    let reason = &tombstone.reason;
    WriteError::invalid("version", format!("was removed by an administrator and cannot be used again: {reason}"))
}
