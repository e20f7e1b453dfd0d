//! Adds the advisories of a dump to the index of a remote repository that has none, for resources that are signed here.

use std::borrow::Cow;

use super::RemoteRepository;
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::{ReadyResource, SignedBy};
use crate::hex::checksum::Sha256;
use crate::hex::resource::RegistryResource;
use crate::hex::wire::WireError;
use crate::policy::osv::AdvisoryDump;
use crate::repository::error::RepoError;

/// How many packages with advisories are cached: about as many as exist.
const PACKAGES: u64 = 2_000;

/// The results, with the digests of their sources: the resource and the dump.
#[derive(Debug)]
pub(super) struct Advised {
    made: moka::sync::Cache<RegistryResource, ([Sha256; 2], Payload)>,
}

impl Advised {
    pub(super) fn new() -> Self {
        Self { made: moka::sync::Cache::new(PACKAGES) }
    }
}

/// A payload with the advisories of a dump added.
pub(super) fn added<'a>(
    dump: &AdvisoryDump,
    resource: &RegistryResource,
    payload: &'a [u8],
) -> Result<Cow<'a, [u8]>, WireError> {
    match resource {
        RegistryResource::Package(name) => dump.add_to_package(name.as_str(), payload),
        RegistryResource::Versions => dump.add_to_versions(payload),
        RegistryResource::Names | RegistryResource::Policy(_) => Ok(Cow::Borrowed(payload)),
    }
}

impl RemoteRepository {
    /// The payload of a resource that we sign.
    pub(super) async fn own(&self, resource: &RegistryResource, present: &ReadyResource) -> Result<Payload, RepoError> {
        let own = present.payload(SignedBy::Own).cloned().ok_or(RepoError::NotFound)?;
        let Some(dump) = self.advisories() else { return Ok(own) };
        let touched = match resource {
            RegistryResource::Package(name) => dump.concerns(name.as_str()),
            RegistryResource::Versions => !dump.is_empty(),
            RegistryResource::Names | RegistryResource::Policy(_) => false,
        };
        if !touched {
            return Ok(own);
        }
        let made_from = [*own.digest(), *dump.digest()];
        if let Some((_, made)) = self.advised.made.get(resource).filter(|(from, _)| *from == made_from) {
            return Ok(made);
        }
        let about = resource.clone();
        let make = move || {
            let payload = own.bytes()?;
            Ok::<_, CacheError>(own.edited(added(&dump, &about, &payload).map_err(CacheError::untrusted)?))
        };
        let made = self.shared.blocking(move |_| make()).await??;
        self.advised.made.insert(resource.clone(), (made_from, made.clone()));
        Ok(made)
    }
}
