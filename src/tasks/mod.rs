//! Long jobs on the whole store.

mod background_retry;
pub mod backup;
pub mod bundle;
pub mod evaluate;
pub mod gc;
pub mod mirror;
pub mod prefetch;
pub mod prefetch_closure;
pub mod report;
pub mod verify_store;
