//! The cache: memory, then disk, then upstream; nothing unverified comes out of it.
//!
//! Two kinds of thing are cached, and they are treated differently. *Registry resources* ([`registry`]) are small,
//! signed and change; they are revalidated by the rules in [`freshness`]. *Artifacts* ([`artifacts`]) are addressed by
//! a digest from a verified index and never change; they are streamed while they are stored ([`fill`]). *Docs*
//! ([`docs`]) have no checksum and are a third kind of their own. *Lists* of installers ([`installer_lists`]) are a fourth: signed
//! by keys that are Mix's, and of use only together with their signature. *Answers* of an upstream's API ([`api_answers`])
//! are JSON that nobody signs. All but artifacts are read in one way, `read_through`.

pub mod api_answers;
pub mod artifacts;
pub mod docs;
pub mod downloaded_file;
pub mod error;
pub mod fill;
pub mod freshness;
pub mod gate;
pub mod installer_lists;
pub mod memory;
pub mod payload;
mod read_through;
pub mod reader;
pub mod ready_resource;
mod recent_failures;
pub mod record;
pub mod registry;
pub mod served;
pub mod single_flight;
pub mod status;
pub mod validators;

pub use error::CacheError;
pub use gate::Gate;
pub use memory::Memory;
pub use served::Served;
pub use status::CacheStatus;

use std::sync::Arc;

use crate::clock::Clock;
use crate::shutdown::Tasks;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// What every cache of the process shares.
#[derive(Clone, Debug)]
pub struct SharedCaches {
    /// The disk.
    pub store: Arc<Store>,
    /// The memory tier.
    pub memory: Memory,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fetches run as members of this group.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl SharedCaches {
    /// Runs blocking `work` on the blocking pool, to its end even if nobody waits for it any more.
    pub(crate) async fn blocking<T, F>(&self, work: F) -> Result<T, CacheError>
    where
        F: FnOnce(&Store) -> T + Send + 'static,
        T: Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let done = self.tasks.blocking(move || work(&store)).await;
        Ok(done?)
    }
}
