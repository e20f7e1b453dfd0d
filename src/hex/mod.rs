//! What Hex means: names, versions, paths, checksums and the limits on all of them. Pure.
//!
//! Everything in this room takes bytes or text from strangers and gives back values that cannot be wrong in the ways
//! the type forbids. No files, no sockets, no clock.

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
