//! The one way by which a tarball or a documentation archive is given out, whatever repository it is of and whoever asks.
//!
//! ```text
//! locate the release, judged by every policy that applies
//!   → refuse what a policy holds
//!   → obtain the file that was judged; if the release was replaced meanwhile: from the start
//!   → read from all of it what rules need (licences), and if any did: from the start
//!   → answer → write down that it is delivered → give out the last bytes
//! ```
//!
//! Only a client's request writes anything down, and only where all bytes of the answer are proven and the last of them is
//! given out, or for a 304 to a client that has named this very file. Where a rule that applies cannot be decided, the
//! answer is a refusal.

mod condition;
mod located;
mod receipt;

pub use condition::Condition;
pub(in crate::repository) use located::{Judged, Located, ReleaseHome, any_applies, judged_by};
pub use receipt::DeliveryReceipt;

use std::sync::Arc;

use super::enforcer::Asker;
use super::{Artifact, CacheLifetime, FetchLog, RepoError, Repository, RequestContext, Served};
use crate::auth::ReadGrant;
use crate::cache::CacheError;
use crate::cache::artifacts::ProvenArtifact;
use crate::cache::single_flight::NoOutcome;
use crate::hex::checksum::Sha256;
use crate::hex::resource::ArtifactName;

/// How often a release is located for one delivery. Twice suffice where licences are read; more are needed only where the
/// release is being replaced at that moment.
const ROUNDS: u32 = 4;

/// Which file of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseFile {
    /// The package itself.
    Tarball,
    /// Its documentation archive.
    Docs,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryExtent {
    /// What is known of it without its bytes: of a tarball what its index says, which starts no fetch.
    Head,
    /// Its bytes.
    Whole,
}

/// What it is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A client gets it. What it gets is counted in this log, and the first delivery of a tarball is written down for the
    /// policies that allow it.
    Client(&'a Arc<FetchLog>),
    /// This server's own work. Nothing is written down.
    Internal,
}

/// What is ordered of a release.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOrder<'a> {
    /// Which file.
    pub file: ReleaseFile,
    /// How much of it.
    pub amount: DeliveryExtent,
    /// For whom.
    pub purpose: Purpose<'a>,
    /// On which condition.
    pub condition: &'a Condition,
}

impl DeliveryOrder<'static> {
    /// A file for this server's own work.
    pub const fn internal(file: ReleaseFile, amount: DeliveryExtent) -> Self {
        Self { file, amount, purpose: Purpose::Internal, condition: Condition::NONE }
    }
}

/// What may be answered. Only this module makes it.
#[derive(Debug)]
pub struct Delivered {
    answer: DeliveryAnswer,
    digest: Option<Sha256>,
    keep: CacheLifetime,
    receipt: Option<DeliveryReceipt>,
}

/// What an answer consists of.
#[derive(Debug)]
pub enum DeliveryAnswer {
    /// The file.
    File(Artifact),
    /// The client has the file: 304.
    Unchanged,
    /// The head alone, with the length of the file where it is stored.
    Head(Option<u64>),
}

impl Delivered {
    /// SHA-256 of the file, of which its entity tag is made; `None` for an old release that was never fetched.
    pub fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// How long others may keep it.
    pub fn keep(&self) -> CacheLifetime {
        self.keep
    }

    /// The length of the file, where it is known.
    pub fn length(&self) -> Option<u64> {
        match &self.answer {
            DeliveryAnswer::File(artifact) => Some(artifact.length()),
            DeliveryAnswer::Head(length) => *length,
            DeliveryAnswer::Unchanged => None,
        }
    }

    /// What is answered, and what is to be written down before the last of its bytes is given out.
    pub fn into_answer(self) -> (DeliveryAnswer, Option<DeliveryReceipt>) {
        (self.answer, self.receipt)
    }
}

impl Repository {
    /// A file of a release, or what is known of it, if it may be had. Cancel safe: fetches go on alone.
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
    /// What may be answered of a release that no policy holds; `None` where it has to be located and judged once more.
    /// `read`: the tarball out of which the round before has read what rules need.
    async fn attempt(
        &self,
        located: Served<Located>,
        read: &mut Option<Served<ProvenArtifact>>,
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

    /// Obtains all of the tarball and reads out of it what rules need. Whoever has done so before and is asked again cannot.
    async fn read_licences(
        &self,
        located: &Located,
        read: &mut Option<Served<ProvenArtifact>>,
    ) -> Result<(), RepoError> {
        let Some(file) = located.tarball(self.name, self.context).await? else { return Ok(()) };
        if read.as_ref().is_some_and(|before| before.value.digest == file.value.digest) {
            // In a dry run nothing is refused, and what is not known is read again next time.
            return located.refuse_undecided(self.name, self.asker);
        }
        let Served { value: ProvenArtifact { artifact, digest }, status, upstream } = file;
        let Some(artifact) = self.whole(artifact).await? else { return Ok(()) };
        let value = ProvenArtifact { artifact, digest };
        located.read_licences(&self.name.package, &value).await?;
        *read = Some(Served { value, status, upstream });
        Ok(())
    }

    /// All of a file, proven; `None` where the release was replaced while it was fetched.
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
        read: Option<Served<ProvenArtifact>>,
    ) -> Result<Option<Served<Delivered>>, RepoError> {
        let found = match read {
            // As it came, its story included.
            Some(file) if located.digest().await? == Some(file.value.digest) => Some(file),
            _ => located.tarball(self.name, self.context).await?,
        };
        let Some(Served { value: ProvenArtifact { artifact, digest }, status, upstream }) = found else {
            return Ok(None);
        };
        let (answer, receipt) = if self.order.condition.is_met_by(&digest) {
            // What is still arriving may be another file after all.
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

    /// They have no checksum to judge by: which file belongs to a release is its repository's word.
    async fn docs(&self, located: &Located) -> Result<Served<Delivered>, RepoError> {
        let served = located.docs(self.name, self.context).await?;
        located.say_would_hold(self.name, self.asker)?;
        Ok(served.map(|(ProvenArtifact { artifact, digest }, keep)| {
            let answer = match self.order.amount {
                _ if self.order.condition.is_met_by(&digest) => DeliveryAnswer::Unchanged,
                DeliveryExtent::Head => DeliveryAnswer::Head(Some(artifact.length())),
                DeliveryExtent::Whole => DeliveryAnswer::File(artifact),
            };
            Delivered { answer, digest: Some(digest), keep, receipt: None }
        }))
    }

    /// Says what would be held of a file that a client has; and where it has named that file, and would be given it, writes
    /// down that it is delivered.
    async fn say_unchanged(&self, located: &Located, digest: Option<Sha256>) -> Result<(), RepoError> {
        located.say_would_hold(self.name, self.asker)?;
        let is_named = digest.is_some_and(|digest| self.order.condition.names(&digest));
        if let (Purpose::Client(_), DeliveryExtent::Whole, true) = (self.order.purpose, self.order.amount, is_named) {
            Box::pin(located.excused(self.name).write_delivery(self.name)).await;
        }
        Ok(())
    }

    /// What is written down when a client has all bytes that it gets.
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
