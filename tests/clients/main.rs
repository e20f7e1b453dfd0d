//! Real clients against the daemon: rebar3, mix with Hex, the reference library that rebar3 carries, the `hexpm` crate.
//!
//! The upstream they all end at is a folder that the reference library signed (`escript/build_registry.escript`): our own
//! code has no part in it. Each client runs in its own home, with a time-out, and sees nothing but the daemon.
//!
//! A missing client is said on the terminal and its tests pass; `HEXKEEP_TEST_REQUIRE_CLIENTS=rebar3,mix` makes a missing
//! one of that list a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "test code: it may panic, and its files need not survive a crash"
)]

mod differential;
mod installs;
mod judges;
mod mirrored_api;
mod mix;
mod mix_publish;
mod policy;
mod publish;
mod rebar3;
mod support;
#[path = "../it/support/tarballs.rs"]
mod tarballs;
mod terms;
mod virtuals;
