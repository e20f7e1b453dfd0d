//! Creates, verifies and imports bundles.

mod exemptions;
mod outcome;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use self::outcome::{BundleOutcome, Contents};
use super::job_exclusion::ExclusiveJob;
use super::jobs::{BundleJob, CreateBundle};
use super::operator::Operator;
use super::signing_keys::bundle_signer;
use super::{OperationError, Refusal};
use crate::repository::{RemoteRepository, Repository};
use crate::shutdown::{self, TaskError};
use crate::state::audit::{Action, Actor};
use crate::tasks::bundle::archive::{self, Opened};
use crate::tasks::bundle::import;
use crate::tasks::bundle::manifest::{Manifest, Part};
use crate::tasks::bundle::verify::{self, Target, VerifiedBundle, VerifyContext};
use crate::tasks::bundle::{BundleError, contents};
use crate::tasks::prefetch::{self, PrefetchExtent};
use crate::tasks::report::Reporter;
use crate::trust::{Fingerprint, Signer};

/// Runs blocking work and waits for its end.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BundleError> + Send + 'static,
) -> Result<T, OperationError> {
    Ok(shutdown::blocking(work).await??)
}

async fn open(file: &Path) -> Result<BufReader<File>, OperationError> {
    let path = file.to_path_buf();
    let opened = shutdown::blocking(move || File::open(path)).await?;
    opened.map(BufReader::new).map_err(|source| OperationError::File { path: file.to_path_buf(), source })
}

impl Operator {
    pub(super) async fn bundle(&self, asked: BundleJob, report: Reporter) -> Result<BundleOutcome, OperationError> {
        match asked {
            BundleJob::Create(asked) => self.create_bundle(asked, report).await,
            BundleJob::Verify { file, trust } => {
                let proof = self.verify_bundle(&file, trust.as_deref(), &report).await?;
                Ok(verified_outcome(&proof))
            }
            BundleJob::Import { file, trust } => self.import_bundle(file, trust.as_deref(), report).await,
            BundleJob::Key => Ok(BundleOutcome::Key(self.bundle_signer().await?.fingerprint().to_string())),
        }
    }

    async fn bundle_signer(&self) -> Result<Signer, OperationError> {
        let store = Arc::clone(&self.shared.store);
        Ok(shutdown::blocking(move || bundle_signer(&store)).await??)
    }

    /// The keys whose bundles are trusted: those of the configuration, the given one, and this server's own.
    async fn trusted(&self, given: Option<&str>) -> Result<Vec<Fingerprint>, OperationError> {
        let mut trusted = self.setup().trusted_bundle_keys.clone();
        if let Some(given) = given {
            trusted.push(given.parse().map_err(Refusal::Trust)?);
        }
        trusted.push(self.bundle_signer().await?.fingerprint().clone());
        Ok(trusted)
    }

    async fn create_bundle(&self, asked: CreateBundle, report: Reporter) -> Result<BundleOutcome, OperationError> {
        let (folder, name) = new_file(&asked.file)?;
        let since = match &asked.since {
            None => None,
            Some(file) => {
                let (mut opened, trusted) = (open(file).await?, self.trusted(None).await?);
                Some(blocking(move || archive::open_manifest(&mut opened, &|key| trusted.contains(key))).await?)
            }
        };
        let evicted = self.shared.metrics.evicted.get();
        let (wanted, failed) = self.wanted_releases(asked.wanted.repository.as_deref(), &asked.wanted.releases)?;
        let extent = PrefetchExtent::from(&asked.wanted);
        let (brought, wanted) = prefetch::run(wanted, extent, &report).await;
        let failed: Vec<String> = failed.into_iter().chain(brought.failed).collect();
        if !failed.is_empty() {
            return Ok(BundleOutcome::NotCreated { failed });
        }
        let installs = asked.installers.then(|| self.installs());
        let store = Arc::clone(&self.shared.store);
        let mut gathered = contents::run(&wanted, asked.wanted.docs, installs, since.as_ref(), &store).await?;
        for part in &mut gathered.manifest.repositories {
            part.exemptions = self.exemptions(part).await?;
        }
        let signer = self.bundle_signer().await?;
        let written = blocking(move || {
            let output = store.output(&folder)?;
            let manifest = gathered.manifest;
            let bytes = output.write_private(&name, |out| {
                archive::write(&manifest, &gathered.sources, &signer, &store, out, &report)
            })?;
            Ok((manifest, bytes, signer))
        });
        let (manifest, bytes, signer) = written.await.map_err(|error| match self.shared.metrics.evicted.get() {
            now if now > evicted => OperationError::Evicted(Box::new(error)),
            _ => error,
        })?;
        let elsewhere =
            (!manifest.elsewhere.is_empty()).then(|| (manifest.elsewhere.len(), asked.since.unwrap_or_default()));
        Ok(BundleOutcome::Created {
            contents: contents(&manifest),
            files: manifest.objects.len(),
            bytes,
            file: asked.file,
            elsewhere,
            signer: signer.fingerprint().to_string(),
        })
    }

    async fn verify_bundle(
        &self,
        file: &Path,
        trust: Option<&str>,
        report: &Reporter,
    ) -> Result<VerifiedBundle, OperationError> {
        let (mut opened, trusted) = (open(file).await?, self.trusted(trust).await?);
        let (store, installs, report) = (Arc::clone(&self.shared.store), self.installs(), report.clone());
        let repositories = self.repositories();
        blocking(move || {
            let trusted = |key: &Fingerprint| trusted.contains(key);
            let target = |part: &Part| target(&repositories, part);
            let here = VerifyContext { store: &store, installs: &installs, trusted: &trusted, target: &target };
            verify::run(&mut opened, &here, &report)
        })
        .await
    }

    /// Imports a bundle. If the caller stops waiting, the import stops while it stores files, but completes the switch
    /// of indexes once it has started it.
    async fn import_bundle(
        &self,
        file: PathBuf,
        trust: Option<&str>,
        report: Reporter,
    ) -> Result<BundleOutcome, OperationError> {
        let place = self.under_way.begin(ExclusiveJob::Import).map_err(Refusal::from)?;
        let proof = self.verify_bundle(&file, trust, &report).await?;
        can_be_imported(&proof)?;
        let operator = self.clone();
        let taking = self.shared.tasks.spawn(async move {
            let _place = place;
            let taken = operator.store_bundle(&file, proof, report).await;
            if let Err(error) = &taken {
                let failure = error.sentence();
                tracing::info!(file = %file.display(), %failure, "the bundle was not imported");
            }
            taken
        });
        taking.await.map_err(TaskError::from)?
    }

    async fn store_bundle(
        &self,
        file: &Path,
        proof: VerifiedBundle,
        report: Reporter,
    ) -> Result<BundleOutcome, OperationError> {
        let (mut opened, signer) = (open(file).await?, proof.opened.signer.clone());
        let (store, installs, repositories) = (Arc::clone(&self.shared.store), self.installs(), self.repositories());
        let (evicted, runtime) = (self.shared.metrics.evicted.get(), tokio::runtime::Handle::current());
        let (taken, proof) = blocking(move || {
            let target = |part: &Part| target(&repositories, part);
            let trusted = |key: &Fingerprint| *key == signer;
            let here = VerifyContext { store: &store, installs: &installs, trusted: &trusted, target: &target };
            Ok((import::run(&mut opened, &proof, &here, runtime, &report)?, proof))
        })
        .await?;
        let owed = self.import_exemptions(&proof).await?;
        let Opened { manifest, signer, digest, .. } = &proof.opened;
        let detail = format!("{} of bundle {digest} (signed with the key {signer})", contents(manifest));
        for part in &manifest.repositories {
            let (at, subject) = (self.shared.clock.now(), (part.key.as_str(), None, None));
            self.state.audit_by(at, Action::BundleImport, subject, &detail, &Actor::console()).await?;
        }
        tracing::info!("{detail} were imported");
        let import::ImportReport { files, there, bytes, packages, newer, removed, lists } = taken;
        let evicted = self.shared.metrics.evicted.get().saturating_sub(evicted);
        Ok(BundleOutcome::Imported { files, there, bytes, packages, newer, removed, lists, owed, evicted })
    }
}

/// Splits the path of a new file into folder and name; an existing file is refused.
pub(super) fn new_file(file: &Path) -> Result<(PathBuf, String), Refusal> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Err(Refusal::NoFileName(file.to_path_buf()));
    };
    if file.symlink_metadata().is_ok() {
        return Err(Refusal::FileIsThere(file.to_path_buf()));
    }
    Ok((folder.to_path_buf(), name.to_owned()))
}

/// Finds the repository of this server that a part of a bundle belongs to: the one with the same key, else the only
/// remote one with the same name.
fn target(repositories: &[Repository], part: &Part) -> Result<Target, BundleError> {
    let remotes = || all_remotes(repositories);
    let by_key = remotes().find(|remote| remote.key().as_str() == part.key);
    if let Some(remote) = by_key {
        return Ok(Target::Remote(remote));
    }
    let local = repositories.iter().filter_map(Repository::as_local).find(|local| local.key().as_str() == part.key);
    if let Some(local) = local {
        return Ok(Target::Local(Arc::clone(local)));
    }
    let mut by_name = remotes().filter(|remote| remote.identity().name.as_str() == part.name);
    match (by_name.next(), by_name.next()) {
        (Some(remote), None) => Ok(Target::Remote(remote)),
        _ => Err(BundleError::NoRepository(part.key.clone())),
    }
}

fn all_remotes(repositories: &[Repository]) -> impl Iterator<Item = Arc<RemoteRepository>> {
    repositories.iter().filter_map(Repository::as_remote).map(Arc::clone)
}

fn can_be_imported(proof: &VerifiedBundle) -> Result<(), BundleError> {
    if let Some(Target::Local(local)) = proof.targets.iter().find(|target| matches!(target, Target::Local(_))) {
        return Err(BundleError::LocalRepository(local.key().to_string()));
    }
    match proof.missing.first() {
        None => Ok(()),
        Some(first) => Err(BundleError::Missing {
            count: proof.missing.len(),
            first: first.clone(),
            since: proof.opened.manifest.since.map(|since| since.0.to_string()).unwrap_or_default(),
        }),
    }
}

/// Counts the contents of a bundle.
fn contents(manifest: &Manifest) -> Contents {
    let count = |of: fn(&Part) -> usize| manifest.repositories.iter().map(of).sum::<usize>();
    let (releases, docs) = (count(|part| part.tarballs.len()), count(|part| part.docs.len()));
    Contents { releases, docs, installers: manifest.installers.len() }
}

fn verified_outcome(proof: &VerifiedBundle) -> BundleOutcome {
    let manifest = &proof.opened.manifest;
    let since = manifest.since.map(|since| outcome::Since {
        digest: since.0.to_string(),
        files: manifest.elsewhere.len(),
        missing: proof.missing.len(),
    });
    BundleOutcome::Proven { contents: contents(manifest), since, signer: proof.opened.signer.to_string() }
}
