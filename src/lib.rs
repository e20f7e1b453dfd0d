//! hexkeep: a verifying, caching repository manager for Hex.

pub mod clock;
pub mod hex;
pub mod secret;
pub mod size;
pub mod trust;
