//! The registry's messages as structures, made from `proto/` when the crate is built.
//!
//! For writing payloads of our own. Never decode a payload of somebody else's into these and encode it again: fields
//! that `proto/` does not know would be lost. [`index`](super::index) reads and [`splice`](super::splice) edits such
//! payloads on the wire.

#![allow(clippy::all, missing_docs, unreachable_pub, unused_qualifications, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/hex.registry.rs"));
