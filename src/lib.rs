//! hexkeep: a proxy and private registry for Hex packages (Erlang, Elixir, Gleam) that verifies and caches them.
//!
//! This page describes the structure of the crate; `docs/ARCHITECTURE.md` follows two requests through it, with
//! reasons.
//!
//! # Data flow
//!
//! ```text
//! request → http (route, grant) → repository → cache (memory → disk → upstream) → trust (verify, sign) → response
//! ```
//!
//! *Registry resources* (`names`, `versions`, `packages/NAME`, `policies/NAME`) are small, signed, and change: they are
//! verified, revalidated, and stored as files that can be verified again by their signature. *Artifacts* (tarballs) are
//! large and identified by a digest in a verified index: they are streamed to clients while they are stored, but the
//! last bytes are sent only after the digest has matched. *Docs* have no checksum and are stored separately.
//!
//! # The rooms, from the bottom
//!
//! Top-level modules are called rooms.
//!
//! - Ground: [`choice`], [`clock`], [`size`], [`secret`], [`display_text`], [`shutdown`], [`telemetry`]. They import no
//!   other room.
//! - Pure rooms, without files, sockets and clock: [`hex`] parses untrusted input to types that cannot be invalid, and
//!   defines all limits; [`trust`] has the only verifier and the only signer; [`policy`] merges the packages of several
//!   repositories.
//! - External systems, without knowledge of Hex: [`store`] (files on disk), [`state`] (durable data in SQL),
//!   [`upstream`] (one registry over HTTP, with retries and a circuit breaker).
//! - Combination: [`cache`] reads through memory, disk and upstream, and returns only verified data; [`auth`] creates
//!   grants; [`repository`] answers by the rules of one repository, and checks every new index with the ledger.
//! - [`client_setup`] writes the lines that users copy to point a client at this server. Pure.
//! - Administration: [`operations`] executes commands, [`tasks`] runs long jobs on the whole store.
//! - Interfaces: [`http`] for clients, [`admin`] for administrators and monitoring, [`config`] for the configuration,
//!   [`cli`] for the terminal.
//! - [`app`] combines them: it builds all parts from the settings, and starts, reloads and stops them.
//!
//! A table in `docs/ARCHITECTURE.md` lists the allowed imports between rooms. A test checks it.
//!
//! # Types express trust
//!
//! A [`hex::envelope::Envelope`] is decoded, but not verified. Only [`trust::verify()`] converts it to a
//! [`trust::Verified`]. A [`trust::SignedResource`] comes either from a `Verified` that is passed through, or from
//! [`trust::Signer::seal`], and only a `SignedResource` can be sent as the body of a registry resource. To read from a
//! repository, code needs an [`auth::ReadGrant`].
//!
//! # Where to start
//!
//! For a request: [`http::dispatch`], then [`repository::remote`], then [`cache::registry`] or [`cache::artifacts`].
//! For a decision: [`cache::freshness::plan`], [`state::ledger::judge`], [`http::route::route`], which are pure. For
//! the process: [`app::run::App::start`]. For a command: the file with its name in `cli`, and its implementation in
//! [`operations`].

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
