//! The cache: looks in memory, then on disk, then fetches from the upstream. Signed content is verified before it is
//! served.
//!
//! There are several kinds of content, and each is treated differently:
//!
//! - *Registry resources* ([`registry`]) are small, signed and change. They are revalidated by the rules in
//!   [`freshness`].
//! - *Artifacts* ([`artifacts`]) are addressed by a digest from a verified index and never change. They are streamed
//!   while they are stored ([`fill`]).
//! - *Docs* ([`docs`]) have no checksum and may change.
//! - *Lists* of installers ([`installer_lists`]) are signed by Mix's own keys, and useful only together with their
//!   signature.
//! - *Answers* of an upstream's API ([`api_answers`]) are unsigned JSON.
//!
//! All but artifacts are read in the same way, by `read_through`.

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

/// The resources that all caches of the process share.
#[derive(Clone, Debug)]
pub struct SharedCaches {
    /// The disk.
    pub store: Arc<Store>,
    /// The memory tier.
    pub memory: Memory,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The group of tasks that fetches run in.
    pub tasks: Tasks,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl SharedCaches {
    /// Runs `work` on the blocking pool, to its end even if the caller is gone.
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
