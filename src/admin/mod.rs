//! Interfaces for administrators: a Unix socket in the storage path, and the ops listener for monitoring.

pub mod client;
pub mod ops;
pub mod protocol;
pub mod server;
