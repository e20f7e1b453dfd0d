//! The public HTTP server: connections, routing, conditional requests, statuses and headers.
//!
//! ```text
//! listener (connections, TLS) → stack (request id, log, metrics, panics) → dispatch (route → grant → repository)
//!                             → respond (conditional, ranges, headers) → body
//! ```

pub mod body;
mod conditional;
pub mod dispatch;
pub mod error;
pub mod forwarded;
mod head_guard;
pub mod hex_message;
mod installs;
pub mod listener;
mod malformed_heads;
pub mod observe;
mod pages;
mod repository_request;
mod respond;
pub mod route;
mod same_site;
pub mod stack;
mod stall_guard;
mod streams;
pub mod tls;
mod unread_body;

pub use dispatch::Site;
