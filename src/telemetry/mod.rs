//! Logs and metrics.

pub mod access;
mod json;
pub mod logging;
pub mod metrics;
