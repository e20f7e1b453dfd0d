//! hexkeep: a verifying, caching repository manager for Hex, the package registry of Erlang, Elixir and Gleam.
//!
//! This page is the map of the crate; `docs/ARCHITECTURE.md` follows two requests through it, with the reasons.
//!
//! # What flows
//!
//! ```text
//! request → http (route, grant) → repository → cache (memory → disk → upstream) → trust (verify, sign) → response
//! ```
//!
//! *Registry resources* (`names`, `versions`, `packages/NAME`, `policies/NAME`) are small, signed, and change: they are
//! verified, revalidated, and kept as files that prove themselves by their signature. *Artifacts* (tarballs) are large
//! and named by a digest from a verified index: they are streamed while they are stored, with the last bytes held back
//! until the digest has matched. *Docs* have no checksum and are kept apart.
//!
//! # The parts, from the bottom
//!
//! - Ground: [`choice`], [`clock`], [`size`], [`secret`], [`display_text`], [`shutdown`], [`telemetry`]. They import nothing of ours.
//! - Pure: [`hex`] turns bytes and text of strangers into values that cannot be wrong in the ways their types forbid,
//!   and holds every limit; [`trust`] has the one verifier and the one signer; [`policy`] merges what several
//!   repositories have. No files, no sockets, no clock.
//! - The outside world, without the meaning of Hex: [`store`] (bytes on disk), [`state`] (what must not be lost, in
//!   SQL), [`upstream`] (one registry over HTTP, with retries and a breaker).
//! - Joining: [`cache`] reads through memory, disk and upstream, and lets nothing unverified out; [`auth`] makes
//!   grants; [`repository`] answers by the rules of one repository, and asks the ledger about every index that arrives.
//! - [`client_setup`] makes the lines that users copy to point a client here. Pure.
//! - What administrators have done: [`operations`] carries orders out, [`tasks`] is work on the whole store.
//! - The edges: [`http`] for clients, [`admin`] for administrators and monitoring, [`config`] for what may be written
//!   down, [`cli`] for the terminal.
//! - [`app`] puts them together: settings become running parts, which start, reload and stop there.
//!
//! The imports between rooms are a table in `docs/ARCHITECTURE.md`, which a test holds.
//!
//! # Trust is a ladder of types
//!
//! [`hex::envelope::Envelope`] is opened and proves nothing. [`trust::verify()`] alone makes a [`trust::Verified`] of
//! it. Only that, passed through, or [`trust::Signer::seal`] makes a [`trust::SignedResource`], and nothing else can be
//! sent as the body of a registry resource. What a repository does wants an [`auth::ReadGrant`].
//!
//! # Where to start
//!
//! For a request: [`http::dispatch`], then [`repository::remote`], then [`cache::registry`] or [`cache::artifacts`].
//! For a decision: [`cache::freshness::plan`], [`state::ledger::judge`], [`http::route::route`], which are pure. For
//! the process: [`app::run::App::start`]. For a command: the file of its name in `cli`, and what it does in [`operations`].

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod cache;
pub mod choice;
pub mod cli;
pub mod client_setup;
pub mod clock;
pub mod config;
pub mod display_text;
pub mod hex;
pub mod http;
pub mod operations;
pub mod policy;
pub mod repository;
pub mod secret;
pub mod shutdown;
pub mod size;
pub mod state;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod web;
