//! Verifies a whole bundle before it is imported. Writes nothing.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::sync::Arc;

use super::archive::{self, Hashing, Opened, Visitor, exactly};
use super::manifest::{Object, Part, Use};
use super::{BundleError, open};
use crate::cache::CacheError;
use crate::hex::checksum::{Sha256, Sha512};
use crate::hex::envelope::Envelope;
use crate::hex::index::{Index, PackageIndex, Release};
use crate::hex::installs::ListedChecksum;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::tarball;
use crate::repository::{Installs, LocalRepository, RemoteRepository};
use crate::store::Store;
use crate::store::spool::ContentReader;
use crate::tasks::report::{Progress, Reporter};
use crate::trust::{Fingerprint, Origin, Verified, verify};

/// The repository of this server that a part of a bundle belongs to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A remote repository, which accepts resources with the signature of its upstream.
    Remote(Arc<RemoteRepository>),
    /// A local repository, which has signed the resources itself. The server that created a bundle can verify it, too.
    Local(Arc<LocalRepository>),
}

impl Target {
    fn prove(&self, resource: &RegistryResource, bytes: Vec<u8>) -> Result<Verified, CacheError> {
        match self {
            Self::Remote(remote) => remote.prove(resource, bytes.into()),
            Self::Local(local) => {
                let envelope = Envelope::open(bytes.into(), resource.max_payload()).map_err(CacheError::untrusted)?;
                let origin = Origin { repository: &local.identity().name, resource };
                verify(envelope, std::slice::from_ref(local.public_key()), &origin).map_err(CacheError::untrusted)
            }
        }
    }
}

/// The parts of this server that a verification needs.
pub struct VerifyContext<'a> {
    /// The store.
    pub store: &'a Store,
    /// The installers.
    pub installs: &'a Installs,
    /// Whether a key is trusted.
    pub trusted: &'a dyn Fn(&Fingerprint) -> bool,
    /// Finds the repository that a part belongs to.
    pub target: &'a dyn Fn(&Part) -> Result<Target, BundleError>,
}

impl std::fmt::Debug for VerifyContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Here").field("installs", &self.installs).finish_non_exhaustive()
    }
}

/// A bundle that was verified.
#[derive(Debug)]
pub struct VerifiedBundle {
    /// The manifest.
    pub opened: Opened,
    /// The repository for each part.
    pub targets: Vec<Target>,
    /// For each part, whether its lists are older than those in the store.
    pub older: Vec<bool>,
    /// Files of the earlier bundle that are missing from the store.
    pub missing: Vec<String>,
    /// Checksums of each tarball, documentation archive and installer, by its digest.
    pub found: HashMap<Sha256, FileChecksums>,
}

/// Other checksums of a file, as far as its purposes need them. They are computed from its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileChecksums {
    /// Inner checksum of a tarball.
    pub inner: Option<Sha256>,
    /// SHA-512 of the file.
    pub sha512: Option<Sha512>,
}

impl FileChecksums {
    /// Whether these checksums are sufficient to serve the file for a purpose.
    pub(super) fn is(&self, one: &Use) -> bool {
        match one {
            Use::Tarball { inner: Some(inner), .. } => self.inner == Some(*inner),
            Use::Installer(ListedChecksum::Sha512(sha512)) => self.sha512 == Some(*sha512),
            Use::Tarball { inner: None, .. } | Use::Docs { .. } | Use::Installer(ListedChecksum::Sha256(_)) => true,
            // These are verified by their signature.
            Use::Resource { .. } | Use::List(_) => false,
        }
    }
}

/// The state of a verification.
struct Proving<'a> {
    here: &'a VerifyContext<'a>,
    targets: Vec<Target>,
    older: Vec<bool>,
    indexes: HashMap<(usize, PackageName), PackageIndex>,
    /// Checksums in the installer lists.
    listed: BTreeSet<String>,
    found: HashMap<Sha256, FileChecksums>,
    progress: Progress,
    report: &'a Reporter,
}

/// Verifies a whole bundle. Blocks.
pub fn run(file: &mut dyn Read, here: &VerifyContext<'_>, report: &Reporter) -> Result<VerifiedBundle, BundleError> {
    let mut proving = Proving {
        here,
        targets: Vec::new(),
        older: Vec::new(),
        indexes: HashMap::new(),
        listed: BTreeSet::new(),
        found: HashMap::new(),
        progress: Progress::default(),
        report,
    };
    let opened = archive::walk(file, here.trusted, &mut proving)?;
    let mut missing = Vec::new();
    for object in &opened.manifest.elsewhere {
        if report.is_abandoned() {
            return Err(BundleError::Abandoned);
        }
        let uses = opened.plan.uses.get(&object.sha256.0).map(Vec::as_slice).unwrap_or_default();
        for one in uses.iter().filter(|one| one.is_listing()) {
            if !proving.is_here(one)? {
                missing.push(one.to_string());
            }
        }
        if !uses.iter().any(Use::is_listing) && !proving.stored_is_sound(uses, object)? {
            missing.extend(uses.iter().map(ToString::to_string));
        }
    }
    missing.sort();
    if missing.is_empty() {
        for one in opened.plan.uses.values().flatten() {
            proving.is_listed(one, &opened)?;
        }
    }
    let Proving { targets, older, found, .. } = proving;
    Ok(VerifiedBundle { opened, targets, older, missing, found })
}

impl Visitor for Proving<'_> {
    fn begin(&mut self, opened: &Opened) -> Result<(), BundleError> {
        for part in &opened.manifest.repositories {
            self.targets.push((self.here.target)(part)?);
        }
        self.older = vec![false; self.targets.len()];
        self.progress.total = opened.manifest.objects.len() as u64;
        Ok(())
    }

    fn file(&mut self, opened: &Opened, object: &Object, from: &mut dyn Read) -> Result<(), BundleError> {
        if self.report.is_abandoned() {
            return Err(BundleError::Abandoned);
        }
        let uses = opened.plan.uses.get(&object.sha256.0).map(Vec::as_slice).unwrap_or_default();
        if uses.iter().any(Use::is_listing) {
            let bytes = exactly(from, object.size)?;
            if Sha256::of(&bytes) != object.sha256.0 {
                return Err(damaged(uses, object));
            }
            for one in uses {
                self.learn(one, bytes.clone())?;
            }
        } else {
            let found = read(uses, object, from)?.ok_or_else(|| damaged(uses, object))?;
            self.found.insert(object.sha256.0, found);
        }
        self.progress.done += 1;
        self.progress.bytes += object.size;
        self.report.progress(self.progress);
        Ok(())
    }
}

impl Proving<'_> {
    /// Verifies a resource or a list, and remembers its contents.
    fn learn(&mut self, one: &Use, bytes: Vec<u8>) -> Result<(), BundleError> {
        let unproven = |source| BundleError::Unproven { what: one.to_string(), source };
        match one {
            Use::Resource { part, resource } => {
                let Some(target) = self.targets.get(*part) else { return Ok(()) };
                let verified = target.prove(resource, bytes).map_err(unproven)?;
                if let (Target::Remote(remote), RegistryResource::Names | RegistryResource::Versions) =
                    (target, resource)
                    && let Some(older) = self.older.get_mut(*part)
                {
                    *older |= remote.is_older(resource, &verified).map_err(unproven)?;
                }
                if let (RegistryResource::Package(name), Index::Package(index)) = (resource, verified.into_index()) {
                    self.indexes.insert((*part, name.clone()), index);
                }
            }
            Use::List(list) => {
                let listed = self.here.installs.open(list, bytes.into()).map_err(unproven)?;
                self.listed.extend(listed.iter().map(ToString::to_string));
            }
            Use::Tarball { .. } | Use::Docs { .. } | Use::Installer(_) => {}
        }
        Ok(())
    }

    /// Whether the store has a resource or list of an earlier bundle, or a newer one.
    fn is_here(&mut self, one: &Use) -> Result<bool, BundleError> {
        let here = self.here;
        let failed = |source| BundleError::Take { what: one.to_string(), source };
        match one {
            Use::Resource { part, resource } => {
                // A local repository can sign its resources again at any time.
                let Some(Target::Remote(remote)) = self.targets.get(*part) else { return Ok(true) };
                let Some(held) = remote.stored(resource).map_err(failed)? else { return Ok(false) };
                if let (RegistryResource::Package(name), Index::Package(index)) = (resource, held.into_index()) {
                    self.indexes.insert((*part, name.clone()), index);
                }
                Ok(true)
            }
            Use::List(list) => {
                let held = here.installs.carried().map_err(failed)?;
                let held = held.into_iter().find(|(carried, _)| carried.list == *list);
                let Some((carried, _)) = held else { return Ok(false) };
                self.listed.extend(list.checksums(&carried.text).map(|listed| listed.to_string()));
                Ok(true)
            }
            Use::Tarball { .. } | Use::Docs { .. } | Use::Installer(_) => Ok(false),
        }
    }

    /// Whether the store has a file of an earlier bundle. The file is read and verified as if it were in this bundle,
    /// because the earlier bundle may have contained it for another purpose.
    fn stored_is_sound(&mut self, uses: &[Use], object: &Object) -> Result<bool, BundleError> {
        let of_local = |one: &Use| match one {
            Use::Tarball { part, .. } | Use::Docs { part, .. } => {
                matches!(self.targets.get(*part), Some(Target::Local(_)))
            }
            Use::Installer(_) | Use::Resource { .. } | Use::List(_) => false,
        };
        let store = self.here.store;
        let (local, cached) = (uses.iter().any(of_local), !uses.iter().all(of_local));
        let mut found = None;
        for is_local in [local.then_some(true), cached.then_some(false)].into_iter().flatten() {
            // `open` verifies the digest, unless this process has done it before.
            let Some(stored) = open(store, &object.sha256.0, is_local)? else { return Ok(false) };
            let not_it = || BundleError::Elsewhere(uses.iter().map(ToString::to_string).next().unwrap_or_default());
            if stored.length != object.size {
                return Err(not_it());
            }
            let is_enough = uses.iter().all(|one| FileChecksums::default().is(one));
            found = match found {
                Some(found) => Some(found),
                None if is_enough => Some(FileChecksums::default()),
                None => Some(read(uses, object, &mut ContentReader::of(&stored))?.ok_or_else(not_it)?),
            };
        }
        self.found.extend(found.map(|found| (object.sha256.0, found)));
        Ok(true)
    }

    /// Checks that the signed index or list contains a file with its checksum.
    fn is_listed(&self, one: &Use, opened: &Opened) -> Result<(), BundleError> {
        let listed = match one {
            Use::Tarball { part, name, inner } => self.release(*part, name, |release| match release.outer {
                Some(outer) => opened.plan.uses.get(&outer).is_some_and(|uses| uses.contains(one)),
                None => inner.is_some() && *inner == release.inner,
            }),
            Use::Docs { part, name } => self.release(*part, name, |_| true),
            Use::Installer(checksum) => self.listed.contains(&checksum.to_string()),
            Use::Resource { .. } | Use::List(_) => true,
        };
        if listed { Ok(()) } else { Err(BundleError::Unlisted(one.to_string())) }
    }

    fn release(&self, part: usize, name: &ArtifactName, fits: impl Fn(&Release) -> bool) -> bool {
        match self.indexes.get(&(part, name.package.clone())) {
            Some(index) => index.release(&name.version).is_some_and(fits),
            // The index is in an earlier bundle of this server, so this server had it.
            None => matches!(self.targets.get(part), Some(Target::Local(_))),
        }
    }
}

fn damaged(uses: &[Use], object: &Object) -> BundleError {
    uses.first().map_or_else(|| BundleError::damaged(&object.sha256.0), |one| BundleError::Damaged(one.to_string()))
}

/// Reads a file and returns its checksums, or `None` if they do not match its purposes.
fn read(uses: &[Use], object: &Object, from: &mut dyn Read) -> Result<Option<FileChecksums>, BundleError> {
    let mut hashing = Hashing::new(from);
    let is_by_inner = uses.iter().any(|one| matches!(one, Use::Tarball { inner: Some(_), .. }));
    let is_by_sha512 = uses.iter().any(|one| matches!(one, Use::Installer(ListedChecksum::Sha512(_))));
    let mut found = FileChecksums::default();
    match (is_by_inner, is_by_sha512) {
        (false, false) => {}
        (true, false) => found.inner = tarball::inner_checksum(&mut hashing).ok(),
        (false, true) => found.sha512 = Some(Sha512::of_reader(&mut hashing).map_err(BundleError::Io)?),
        // A file cannot be both an installer and a package.
        (true, true) => return Ok(None),
    }
    let (count, digest) = hashing.finish()?;
    if count != object.size {
        return Err(BundleError::Truncated);
    }
    let fits = digest == object.sha256.0 && uses.iter().all(|one| found.is(one));
    Ok(fits.then_some(found))
}
