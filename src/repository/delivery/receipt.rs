//! Records the delivery of a file when its last bytes are sent.

use std::net::IpAddr;
use std::sync::Arc;

use super::located_release::AllowingPolicies;
use crate::auth::Caller;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::repository::FetchLog;

/// The records to be written for an answer with a body. Nothing is written if the receipt is dropped, because the
/// client has disconnected or the file failed verification.
#[derive(Debug)]
pub struct DeliveryReceipt {
    pub(super) name: ArtifactName,
    pub(super) excused: AllowingPolicies,
    pub(super) log: Arc<FetchLog>,
    /// The repository that the client requested.
    pub(super) repository: RepoName,
    pub(super) caller: Caller,
    pub(super) client: Option<IpAddr>,
}

impl DeliveryReceipt {
    /// Writes the records. Called when all bytes of the answer are verified, and before the last of them are sent, so
    /// that no client has a file whose delivery is not recorded.
    pub async fn write(self) {
        self.excused.write_delivery(&self.name).await;
        self.log.delivered(&self.repository, &self.name, &self.caller, self.client);
    }
}
