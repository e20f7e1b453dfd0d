//! What is written down of a file when its last byte is given out.

use std::net::IpAddr;
use std::sync::Arc;

use super::located::AllowingPolicies;
use crate::auth::Caller;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::repository::FetchLog;

/// What is to be written down of an answer with bytes. It is made with the answer; nothing is written where it is dropped,
/// because the client has gone away or the file has turned out to be another one.
#[derive(Debug)]
pub struct DeliveryReceipt {
    pub(super) name: ArtifactName,
    pub(super) excused: AllowingPolicies,
    pub(super) log: Arc<FetchLog>,
    /// The repository that was asked.
    pub(super) repository: RepoName,
    pub(super) caller: Caller,
    pub(super) client: Option<IpAddr>,
}

impl DeliveryReceipt {
    /// Writes it down. To be called when all bytes of the answer are proven, and before the last of them is given out, so
    /// that nobody has a file of which this is not known.
    pub async fn write(self) {
        self.excused.write_delivery(&self.name).await;
        self.log.delivered(&self.repository, &self.name, &self.caller, self.client);
    }
}
