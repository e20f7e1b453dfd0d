//! Pages for people. May import ground, `hex`, `auth`.
//!
//! Two so far: where a user lets a program in that asked by the device flow, and where a user sets a second factor up. No
//! session and no cookie: the form carries name and password itself, so no other site can send it in somebody's name.

mod device;
mod page;
mod second_factor;

pub use device::device;
pub use page::Page;
pub use second_factor::second_factor;
