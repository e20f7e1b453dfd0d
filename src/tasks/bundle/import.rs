//! Stores a verified bundle: files first, then installer lists, packages, and `names` and `versions` last.
//!
//! Each file becomes visible in the store when it is complete, and no index refers to it before; each index is replaced
//! atomically. So clients get either the old or the new state during an import, and an interrupted import continues
//! where it stopped: existing files are skipped. If the client disconnects, the import stops while it stores files;
//! once it has reached the first list, it runs to its end.

use std::io::Read;

use tokio::runtime::Handle;

use super::BundleError;
use super::archive::{self, Opened, Visitor, exactly};
use super::manifest::{Object, Use};
use super::verify::{Target, VerifiedBundle, VerifyContext};
use crate::cache::registry::{BundleAge, ImportResult};
use crate::hex::checksum::Sha256;
use crate::hex::resource::RegistryResource;
use crate::repository::RemoteRepository;
use crate::store::blobs::{StoreFileError, StoreOutcome as TakenFile};
use crate::tasks::report::{Progress, Reporter};

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Number of files that were stored.
    pub files: u64,
    /// Number of files that were already in the store.
    pub there: u64,
    /// Size of the stored files in bytes.
    pub bytes: u64,
    /// Number of packages whose index has changed.
    pub packages: u64,
    /// Number of resources that were not changed because the store has newer ones.
    pub newer: u64,
    /// Number of packages that the upstream has removed after the bundle was created.
    pub removed: u64,
    /// Number of installer lists that were stored.
    pub lists: u64,
}

struct Taking<'a> {
    here: &'a VerifyContext<'a>,
    proof: &'a VerifiedBundle,
    runtime: Handle,
    settled: bool,
    taken: ImportReport,
    progress: Progress,
    report: &'a Reporter,
}

/// Imports a whole bundle. Blocks, on a thread that may wait for `runtime`.
pub fn run(
    file: &mut dyn Read,
    proof: &VerifiedBundle,
    here: &VerifyContext<'_>,
    runtime: Handle,
    report: &Reporter,
) -> Result<ImportReport, BundleError> {
    let mut taking = Taking {
        here,
        proof,
        runtime,
        settled: false,
        taken: ImportReport::default(),
        progress: Progress::default(),
        report,
    };
    let opened = archive::walk(file, here.trusted, &mut taking)?;
    taking.record_uses(&opened)?;
    Ok(taking.taken)
}

impl Visitor for Taking<'_> {
    fn begin(&mut self, opened: &Opened) -> Result<(), BundleError> {
        if opened.digest != self.proof.opened.digest {
            return Err(BundleError::Changed);
        }
        self.progress.total = opened.manifest.objects.len() as u64;
        Ok(())
    }

    fn file(&mut self, opened: &Opened, object: &Object, from: &mut dyn Read) -> Result<(), BundleError> {
        let uses = opened.plan.uses.get(&object.sha256.0).map(Vec::as_slice).unwrap_or_default();
        if !self.settled && self.report.is_abandoned() {
            return Err(BundleError::Abandoned);
        }
        if uses.iter().any(Use::is_listing) {
            self.record_uses(opened)?;
            let bytes = exactly(from, object.size)?;
            if Sha256::of(&bytes) != object.sha256.0 {
                return Err(BundleError::Changed);
            }
            for one in uses {
                self.listing(one, bytes.clone())?;
            }
        } else {
            self.store(uses, object, from)?;
        }
        self.progress.done += 1;
        self.progress.bytes = self.taken.bytes;
        self.report.progress(self.progress);
        Ok(())
    }
}

impl Taking<'_> {
    fn store(&mut self, uses: &[Use], object: &Object, from: &mut dyn Read) -> Result<(), BundleError> {
        let what = || uses.first().map(ToString::to_string).unwrap_or_default();
        match self.here.store.blobs.store_file(&object.sha256.0, object.size, from) {
            Ok(TakenFile::AlreadyStored) => self.taken.there += 1,
            Ok(TakenFile::Stored) => {
                self.taken.files += 1;
                self.taken.bytes += object.size;
            }
            Err(StoreFileError::Store(error)) if error.is_over_limit() => return Err(BundleError::NoRoom(what())),
            Err(StoreFileError::Store(error)) => return Err(error.into()),
            Err(StoreFileError::Read(_)) => return Err(BundleError::Truncated),
            Err(StoreFileError::Digest { .. }) => return Err(BundleError::Changed),
        }
        Ok(())
    }

    /// Called when all files are stored: records the purpose of each file that is not found by its digest.
    fn record_uses(&mut self, opened: &Opened) -> Result<(), BundleError> {
        if std::mem::replace(&mut self.settled, true) {
            return Ok(());
        }
        for (digest, one) in
            opened.plan.uses.iter().flat_map(|(digest, uses)| uses.iter().map(move |one| (digest, one)))
        {
            // Only facts that the verification has read from the file itself are recorded.
            if !one.is_listing() && !self.proof.found.get(digest).is_some_and(|found| found.is(one)) {
                return Err(BundleError::Changed);
            }
            let done = match one {
                Use::Installer(listed) => self.here.installs.note(*listed, digest),
                Use::Docs { part, name } => match self.remote(*part) {
                    Some(remote) => remote.take_in_docs(name, digest),
                    None => Ok(()),
                },
                Use::Tarball { part, inner: Some(inner), .. } => match self.remote(*part) {
                    Some(remote) => remote.note_inner(*inner, digest),
                    None => Ok(()),
                },
                Use::Tarball { inner: None, .. } | Use::Resource { .. } | Use::List(_) => Ok(()),
            };
            done.map_err(|source| BundleError::Take { what: one.to_string(), source })?;
        }
        Ok(())
    }

    fn listing(&mut self, one: &Use, bytes: Vec<u8>) -> Result<(), BundleError> {
        match one {
            Use::List(list) => {
                let stored = self.here.installs.take_in(list, bytes.into());
                let stored = stored.map_err(|source| BundleError::Take { what: one.to_string(), source })?;
                if !stored {
                    return Err(BundleError::NoRoom(one.to_string()));
                }
                self.taken.lists += 1;
            }
            Use::Resource { part, resource } => {
                let Some(remote) = self.remote(*part) else { return Ok(()) };
                let older =
                    if self.proof.older.get(*part) == Some(&true) { BundleAge::Older } else { BundleAge::Unknown };
                let taken = self.runtime.block_on(remote.take_in(resource, bytes.into(), older));
                match taken.map_err(|source| BundleError::TakeResource { what: one.to_string(), source })? {
                    ImportResult::Stored if matches!(resource, RegistryResource::Package(_)) => {
                        self.taken.packages += 1
                    }
                    ImportResult::Stored | ImportResult::AlreadyStored => {}
                    ImportResult::Newer => self.taken.newer += 1,
                    ImportResult::Removed => self.taken.removed += 1,
                    ImportResult::NotStored => return Err(BundleError::NoRoom(one.to_string())),
                }
            }
            Use::Tarball { .. } | Use::Docs { .. } | Use::Installer(_) => {}
        }
        Ok(())
    }

    fn remote(&self, part: usize) -> Option<&RemoteRepository> {
        match self.proof.targets.get(part) {
            Some(Target::Remote(remote)) => Some(remote),
            _ => None,
        }
    }
}
