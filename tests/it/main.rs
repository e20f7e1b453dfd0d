//! Integration tests, one binary: each module proves the promises of one part of the program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and clippy's exemption ends at the test functions themselves"
)]

mod changes;
mod freshness;
mod own_signature;
mod real_bytes;
mod smoke;
mod support;
mod trust_registry;
mod upstream_room;
