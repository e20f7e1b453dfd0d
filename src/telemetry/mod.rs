//! Logs and metrics. Ground: imports nothing of ours but the clock.

pub mod access;
mod json;
pub mod logging;
pub mod metrics;
