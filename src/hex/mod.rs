//! The Hex protocol: names, versions, requirements, paths, checksums, registry resources, tarballs, lock files, and the
//! limits on all of them. Pure functions.
//!
//! Everything in this room reads untrusted bytes or text and returns validated values, whose types exclude invalid
//! states. It uses no files, no sockets and no clock.

pub mod build;
pub mod checksum;
pub mod envelope;
pub mod if_none_match;
pub mod index;
pub mod installs;
pub mod invalid;
pub mod limits;
pub mod lock;
pub mod message;
pub mod metadata;
pub mod name;
pub mod requirement;
mod reserved;
pub mod resource;
pub mod splice;
#[cfg(test)]
pub(crate) mod strategies;
pub mod tarball;
pub mod term;
#[cfg(test)]
pub(crate) mod testdata;
pub mod upload;
pub mod uri;
pub mod version;
pub mod wire;
