//! Logs and metrics. Ground: imports nothing of ours but the clock.

pub mod access;
pub mod logging;
pub mod metrics;
