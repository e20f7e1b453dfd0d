//! Integration tests, one binary: each module proves the promises of one part of the program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says what it skips, and makes the files and times that it tests; clippy's \
              exemption ends at the test functions themselves"
)]

mod administration;
mod api_checklist;
mod api_views;
mod backup;
mod bundle;
mod changes;
mod cli;
mod command_line;
mod composite;
mod conformance;
mod crash;
mod docs_artifacts;
mod durability;
mod edge;
mod edge_archives;
mod edge_bodies;
mod edge_credentials;
mod edge_heads;
mod edge_hostile;
mod edge_http2;
mod edge_lock_files;
mod edge_metadata;
mod edge_refused;
mod edge_routes;
mod edge_same_site;
mod edge_secrets;
mod edge_tls;
mod freshness;
mod hex_api;
mod hostile_api;
mod import;
mod installs;
mod interrupted;
mod key_rotation;
mod ledger;
mod lifetimes;
mod local;
mod local_files;
mod lost_database;
mod mirror;
mod mirrored_api;
mod model;
mod older_rows;
mod ops;
mod owed_sidecars;
mod own_signature;
mod policy;
mod prefetch;
mod publish_races;
mod purge;
mod reach;
mod real_bytes;
mod redirects;
mod rights;
mod sentences;
mod smoke;
mod space;
mod store_model;
mod streaming;
mod support;
mod symbolic_links;
mod terminal;
mod trust_registry;
mod upstream_defects;
mod upstream_room;
mod warm;
mod ways_out;
mod zero_limits;
