//! Delivers tarballs and documentation archives. All downloads go through this module, from every repository and for
//! every caller.
//!
//! ```text
//! locate the release, and evaluate every policy that applies
//!   → fail if a policy holds it
//!   → obtain the file that was evaluated; if the release was replaced meanwhile: start again
//!   → read from the complete file what rules need (licences); if any rule did: start again
//!   → answer → record the delivery → send the last bytes
//! ```
//!
//! A delivery is recorded only for the request of a client: when all bytes of the answer are verified and the last of
//! them are sent, or when a client that listed this very file gets 304. If a rule that applies cannot be decided, the
//! release is refused.

mod condition;
mod located_release;
mod receipt;

pub use condition::Condition;
pub(in crate::repository) use located_release::{Judged, Located, ReleaseHome, any_applies, judged_by};
pub use receipt::DeliveryReceipt;

use std::sync::Arc;

use super::enforcer::Asker;
use super::{Artifact, CacheLifetime, FetchLog, RepoError, Repository, RequestContext, Served};
use crate::auth::ReadGrant;
use crate::cache::CacheError;
use crate::cache::artifacts::VerifiedArtifact;
use crate::cache::single_flight::NoOutcome;
use crate::hex::checksum::Sha256;
use crate::hex::resource::ArtifactName;

/// How often a release is located for one delivery. Two rounds suffice to read licences; more are needed only while the
/// release is being replaced.
const ROUNDS: u32 = 4;

/// The files of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseFile {
    /// The package itself.
    Tarball,
    /// Its documentation archive.
    Docs,
}

/// How much of a file is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryExtent {
    /// What is known without its bytes: for a tarball the content of its index. This starts no fetch.
    Head,
    /// Its bytes.
    Whole,
}

/// The purpose of a delivery.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A client downloads the file. The download is counted in this log, and the first delivery of a tarball is
    /// recorded for the policies that allow it.
    Client(&'a Arc<FetchLog>),
    /// This server needs the file itself. Nothing is recorded.
    Internal,
}

/// A request for a file of a release.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOrder<'a> {
    /// The file.
    pub file: ReleaseFile,
    /// How much of it.
    pub amount: DeliveryExtent,
    /// The purpose.
    pub purpose: Purpose<'a>,
    /// The condition of the request.
    pub condition: &'a Condition,
}

impl DeliveryOrder<'static> {
    /// A request for this server itself.
    pub const fn internal(file: ReleaseFile, amount: DeliveryExtent) -> Self {
        Self { file, amount, purpose: Purpose::Internal, condition: Condition::NONE }
    }
}

/// The result of a delivery. Only this module creates it.
#[derive(Debug)]
pub struct Delivered {
    answer: DeliveryAnswer,
    digest: Option<Sha256>,
    keep: CacheLifetime,
    receipt: Option<DeliveryReceipt>,
}

/// The content of an answer.
#[derive(Debug)]
pub enum DeliveryAnswer {
    /// The file.
    File(Artifact),
    /// The client has the file already: 304.
    Unchanged,
    /// Only the head, with the length of the file if it is stored.
    Head(Option<u64>),
}

impl Delivered {
    /// SHA-256 of the file, from which its entity tag is made; `None` for an old release that was never fetched.
    pub fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// How long clients may cache it.
    pub fn keep(&self) -> CacheLifetime {
        self.keep
    }

    /// The length of the file, if it is known.
    pub fn length(&self) -> Option<u64> {
        match &self.answer {
            DeliveryAnswer::File(artifact) => Some(artifact.length()),
            DeliveryAnswer::Head(length) => *length,
            DeliveryAnswer::Unchanged => None,
        }
    }

    /// The answer, and the receipt to be written before the last of its bytes are sent.
    pub fn into_answer(self) -> (DeliveryAnswer, Option<DeliveryReceipt>) {
        (self.answer, self.receipt)
    }
}

impl Repository {
    /// Delivers a file of a release, or its head, unless a policy holds it. Cancel safe: fetches continue without their
    /// caller.
    pub async fn deliver(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        order: DeliveryOrder<'_>,
        context: RequestContext,
    ) -> Result<Served<Delivered>, RepoError> {
        let asker = Asker { grant, client: context.client };
        let delivery = Delivery { repository: self, name, order, asker, context };
        let mut read = None;
        for round in 0..ROUNDS {
            let located = self.locate(grant, name, &[], context).await?;
            located.value.refuse_held(name, asker)?;
            if round == 0 && order.file == ReleaseFile::Tarball && order.amount == DeliveryExtent::Whole {
                located.value.tell_asked(name, context);
            }
            if let Some(delivered) = delivery.attempt(located, &mut read).await? {
                return Ok(delivered);
            }
        }
        Err(RepoError::Upstream(CacheError::Replaced))
    }
}

/// One delivery.
struct Delivery<'a> {
    repository: &'a Repository,
    name: &'a ArtifactName,
    order: DeliveryOrder<'a>,
    asker: Asker<'a>,
    context: RequestContext,
}

impl Delivery<'_> {
    /// The answer for a release that no policy holds; `None` if it has to be located and evaluated again. `read` is the
    /// tarball from which the round before has read what rules need.
    async fn attempt(
        &self,
        located: Served<Located>,
        read: &mut Option<Served<VerifiedArtifact>>,
    ) -> Result<Option<Served<Delivered>>, RepoError> {
        let Served { value: located, status, upstream } = located;
        let DeliveryOrder { file, amount, condition, .. } = self.order;
        let head = |answer, digest| {
            let value = Delivered { answer, digest, keep: located.keep, receipt: None };
            Some(Served { value, status, upstream })
        };
        if file == ReleaseFile::Tarball && (amount == DeliveryExtent::Head || condition != Condition::NONE) {
            let digest = located.digest().await?;
            if digest.is_some_and(|digest| condition.is_met_by(&digest)) && located.is_decided() {
                self.say_unchanged(&located, digest).await?;
                return Ok(head(DeliveryAnswer::Unchanged, digest));
            }
            if amount == DeliveryExtent::Head {
                located.say_would_hold(self.name, self.asker)?;
                let length = match digest {
                    Some(digest) => located.length(digest).await?,
                    None => None,
                };
                return Ok(head(DeliveryAnswer::Head(length), digest));
            }
        }
        if !located.is_decided() {
            return Box::pin(self.read_licences(&located, read)).await.map(|()| None);
        }
        match file {
            ReleaseFile::Tarball => self.tarball(&located, read.take()).await,
            ReleaseFile::Docs => Box::pin(self.docs(&located)).await.map(Some),
        }
    }

    /// Obtains the complete tarball, and reads from it what rules need. Fails if the round before has read the same
    /// tarball.
    async fn read_licences(
        &self,
        located: &Located,
        read: &mut Option<Served<VerifiedArtifact>>,
    ) -> Result<(), RepoError> {
        let Some(file) = located.tarball(self.name, self.context).await? else { return Ok(()) };
        if read.as_ref().is_some_and(|before| before.value.digest == file.value.digest) {
            // A dry run refuses nothing, and reads unknown licences again the next time.
            return located.refuse_undecided(self.name, self.asker);
        }
        let Served { value: VerifiedArtifact { artifact, digest }, status, upstream } = file;
        let Some(artifact) = self.whole(artifact).await? else { return Ok(()) };
        let value = VerifiedArtifact { artifact, digest };
        located.read_licences(&self.name.package, &value).await?;
        *read = Some(Served { value, status, upstream });
        Ok(())
    }

    /// The complete, verified file; `None` if the release was replaced while it was fetched.
    async fn whole(&self, artifact: Artifact) -> Result<Option<Artifact>, RepoError> {
        let whole = tokio::time::timeout_at(self.context.deadline, artifact.whole()).await;
        match whole.map_err(|_| CacheError::NoOutcome(NoOutcome::Deadline))? {
            Ok(artifact) => Ok(Some(artifact)),
            Err(CacheError::Replaced) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn tarball(
        &self,
        located: &Located,
        read: Option<Served<VerifiedArtifact>>,
    ) -> Result<Option<Served<Delivered>>, RepoError> {
        let found = match read {
            // With the cache status of that fetch.
            Some(file) if located.digest().await? == Some(file.value.digest) => Some(file),
            _ => located.tarball(self.name, self.context).await?,
        };
        let Some(Served { value: VerifiedArtifact { artifact, digest }, status, upstream }) = found else {
            return Ok(None);
        };
        let (answer, receipt) = if self.order.condition.is_met_by(&digest) {
            // A file that is still being fetched may turn out to be a different one.
            if Box::pin(self.whole(artifact)).await?.is_none() {
                return Ok(None);
            }
            self.say_unchanged(located, Some(digest)).await?;
            (DeliveryAnswer::Unchanged, None)
        } else {
            located.say_would_hold(self.name, self.asker)?;
            (DeliveryAnswer::File(artifact), self.receipt(located))
        };
        let value = Delivered { answer, digest: Some(digest), keep: located.keep, receipt };
        Ok(Some(Served { value, status, upstream }))
    }

    /// Documentation has no checksum to compare: its repository decides which file belongs to a release.
    async fn docs(&self, located: &Located) -> Result<Served<Delivered>, RepoError> {
        let served = located.docs(self.name, self.context).await?;
        located.say_would_hold(self.name, self.asker)?;
        Ok(served.map(|(VerifiedArtifact { artifact, digest }, keep)| {
            let answer = match self.order.amount {
                _ if self.order.condition.is_met_by(&digest) => DeliveryAnswer::Unchanged,
                DeliveryExtent::Head => DeliveryAnswer::Head(Some(artifact.length())),
                DeliveryExtent::Whole => DeliveryAnswer::File(artifact),
            };
            Delivered { answer, digest: Some(digest), keep, receipt: None }
        }))
    }

    /// Reports it if a policy in a dry run would hold the file that a client has. If the client listed this very file,
    /// and would be given it, the delivery is recorded.
    async fn say_unchanged(&self, located: &Located, digest: Option<Sha256>) -> Result<(), RepoError> {
        located.say_would_hold(self.name, self.asker)?;
        let is_named = digest.is_some_and(|digest| self.order.condition.names(&digest));
        if let (Purpose::Client(_), DeliveryExtent::Whole, true) = (self.order.purpose, self.order.amount, is_named) {
            Box::pin(located.excused(self.name).write_delivery(self.name)).await;
        }
        Ok(())
    }

    /// The receipt, to be written when a client has received all bytes.
    fn receipt(&self, located: &Located) -> Option<DeliveryReceipt> {
        let Purpose::Client(log) = self.order.purpose else { return None };
        Some(DeliveryReceipt {
            name: self.name.clone(),
            excused: located.excused(self.name),
            log: Arc::clone(log),
            repository: self.repository.key().clone(),
            caller: self.asker.grant.caller().clone(),
            client: self.asker.client,
        })
    }
}
