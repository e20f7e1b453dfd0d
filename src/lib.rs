//! hexkeep: a verifying, caching repository manager for Hex.

pub mod clock;
pub mod secret;
pub mod size;
pub mod upstream;
