//! hexkeep: a verifying, caching repository manager for Hex, the package registry of Erlang, Elixir and Gleam.

pub mod admin;
pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod hex;
pub mod http;
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
