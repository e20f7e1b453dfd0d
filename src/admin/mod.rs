//! What an administrator reaches: a unix socket in the storage path, and the ops listener.

pub mod client;
pub mod ops;
pub mod protocol;
pub mod server;
