//! What an administrator reaches: a unix socket in the storage path, and the ops listener. May import ground, `operations`, what
//! `tasks` report, and of `state` who does something.

pub mod client;
pub mod ops;
pub mod protocol;
pub mod server;
