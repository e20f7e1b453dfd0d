//! Proving a bundle, from its first byte to its last, before anything of it is taken. Writes nothing.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::sync::Arc;

use super::BundleError;
use super::archive::{self, Hashing, Opened, Visitor, exactly};
use super::manifest::{Object, Part, Use};
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
use crate::tasks::report::{Progress, Reporter};
use crate::trust::{Fingerprint, Origin, Verified, verify};

/// The repository of this server that a part of a bundle is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// It takes what its upstream has signed.
    Remote(Arc<RemoteRepository>),
    /// It has made it itself: enough to prove a bundle where it was made.
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

/// Where bundles are proven.
pub struct Here<'a> {
    /// The files.
    pub store: &'a Store,
    /// The installers.
    pub installs: &'a Installs,
    /// Which keys may have signed.
    pub trusted: &'a dyn Fn(&Fingerprint) -> bool,
    /// Which repository a part is for.
    pub target: &'a dyn Fn(&Part) -> Result<Target, BundleError>,
}

impl std::fmt::Debug for Here<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Here").field("installs", &self.installs).finish_non_exhaustive()
    }
}

/// A bundle in which everything is what it says.
#[derive(Debug)]
pub struct Proof {
    /// What it says of itself.
    pub opened: Opened,
    /// Where its parts go.
    pub targets: Vec<Target>,
    /// For each part whether its lists are older than those that are here.
    pub older: Vec<bool>,
    /// What the bundle that it builds on has brought, and is not here.
    pub missing: Vec<String>,
}

/// What is learned of the files on the way.
struct Proving<'a> {
    here: &'a Here<'a>,
    targets: Vec<Target>,
    older: Vec<bool>,
    indexes: HashMap<(usize, PackageName), PackageIndex>,
    /// What lists of installers name.
    listed: BTreeSet<String>,
    progress: Progress,
    report: &'a Reporter,
}

/// Proves all of it. Blocks.
pub fn run(file: &mut dyn Read, here: &Here<'_>, report: &Reporter) -> Result<Proof, BundleError> {
    let mut proving = Proving {
        here,
        targets: Vec::new(),
        older: Vec::new(),
        indexes: HashMap::new(),
        listed: BTreeSet::new(),
        progress: Progress::default(),
        report,
    };
    let opened = archive::walk(file, here.trusted, &mut proving)?;
    let mut missing = Vec::new();
    for object in &opened.manifest.elsewhere {
        for one in opened.plan.uses.get(&object.sha256.0).into_iter().flatten() {
            if !proving.is_here(one, object)? {
                missing.push(one.to_string());
            }
        }
    }
    missing.sort();
    if missing.is_empty() {
        for one in opened.plan.uses.values().flatten() {
            proving.is_listed(one, &opened)?;
        }
    }
    Ok(Proof { opened, targets: proving.targets, older: proving.older, missing })
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
            file_is_sound(uses, object, from)?;
        }
        self.progress.done += 1;
        self.progress.bytes += object.size;
        self.report.progress(self.progress);
        Ok(())
    }
}

impl Proving<'_> {
    /// What a resource or a list says, after it was proven.
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

    /// Whether something that an earlier bundle has brought is here, or something newer.
    fn is_here(&mut self, one: &Use, object: &Object) -> Result<bool, BundleError> {
        let here = self.here;
        let failed = |source| BundleError::Take { what: one.to_string(), source };
        let stored = |length: Option<u64>| length == Some(object.size);
        match one {
            Use::Resource { part, resource } => {
                // What a local repository has signed is made anew at any time.
                let Some(Target::Remote(remote)) = self.targets.get(*part) else { return Ok(true) };
                let Some(held) = remote.stored(resource).map_err(failed)? else { return Ok(false) };
                if let (RegistryResource::Package(name), Index::Package(index)) = (resource, held.into_index()) {
                    self.indexes.insert((*part, name.clone()), index);
                }
                Ok(true)
            }
            Use::Tarball { part, .. } | Use::Docs { part, .. } => Ok(match self.targets.get(*part) {
                Some(Target::Local(_)) => stored(here.store.local.length(&object.sha256.0)),
                _ => stored(here.store.blobs.length(&object.sha256.0)),
            }),
            Use::Installer(_) => Ok(stored(here.store.blobs.length(&object.sha256.0))),
            Use::List(list) => {
                let held = here.installs.carried().map_err(failed)?;
                let held = held.into_iter().find(|(carried, _)| carried.list == *list);
                let Some((carried, _)) = held else { return Ok(false) };
                self.listed.extend(list.checksums(&carried.text).map(|listed| listed.to_string()));
                Ok(true)
            }
        }
    }

    /// Whether the index or list that has to name a file does, with its checksum.
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
            // Of an earlier bundle, where it was made: it had this index.
            None => matches!(self.targets.get(part), Some(Target::Local(_))),
        }
    }
}

fn damaged(uses: &[Use], object: &Object) -> BundleError {
    uses.first().map_or_else(|| BundleError::damaged(&object.sha256.0), |one| BundleError::Damaged(one.to_string()))
}

/// Whether a file has its digests.
fn file_is_sound(uses: &[Use], object: &Object, from: &mut dyn Read) -> Result<(), BundleError> {
    let mut hashing = Hashing::new(from);
    let mut inners = uses.iter().filter_map(|one| if let Use::Tarball { inner, .. } = one { *inner } else { None });
    let mut sha512s = uses.iter().filter_map(|one| match one {
        Use::Installer(ListedChecksum::Sha512(expected)) => Some(expected),
        _ => None,
    });
    let fits = match (inners.next(), sha512s.next()) {
        (None, None) => true,
        (Some(inner), None) => {
            tarball::inner_checksum(&mut hashing).ok() == Some(inner) && inners.all(|other| other == inner)
        }
        (None, Some(expected)) => {
            let actual = Sha512::of_reader(&mut hashing).map_err(BundleError::Io)?;
            actual == *expected && sha512s.all(|other| other == expected)
        }
        // No installer is a package.
        (Some(_), Some(_)) => false,
    };
    let (count, digest) = hashing.finish()?;
    if count != object.size {
        return Err(BundleError::Truncated);
    }
    if fits && digest == object.sha256.0 { Ok(()) } else { Err(damaged(uses, object)) }
}
