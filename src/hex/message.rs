//! The protobuf messages of the registry as structures, generated from `proto/` by the build script.
//!
//! Use them only to write payloads of local repositories. Never decode a payload of an upstream into them and encode it
//! again: fields that `proto/` does not have would be lost. [`index`](super::index) reads and [`splice`](super::splice)
//! edits such payloads in the wire format.

#![allow(clippy::all, missing_docs, unreachable_pub, unused_qualifications, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/hex.registry.rs"));
