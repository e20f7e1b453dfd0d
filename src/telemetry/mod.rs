//! Logs and metrics. Ground: imports nothing of ours.

pub mod access;
pub mod logging;
pub mod metrics;
