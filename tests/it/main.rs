//! Integration tests, one binary: each module proves the promises of one part of the program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and clippy's exemption ends at the test functions themselves"
)]

mod docs_artifacts;
mod durability;
mod smoke;
mod store_model;
mod streaming;
mod support;
mod upstream_room;
