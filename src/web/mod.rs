//! Pages for people. May import ground, `hex`, `auth`.
//!
//! One so far: where a user lets a program in that asked by the device flow. No session and no cookie: the form carries
//! name and password itself, so no other site can send it in somebody's name.

mod device;

pub use device::{Page, device};
