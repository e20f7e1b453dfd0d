//! Pages for people.
//!
//! ```text
//! http::pages (form → Visit) → pages (the table: address → handler) → handler(&Visit) → Page → http::pages (headers)
//! ```
//!
//! Two so far: where a user lets a program in that asked by the device flow, and where a user sets a second factor up. No
//! session and no cookie: the form carries name and password itself, so no other site can send it in somebody's name.

mod device;
mod page;
mod pages;
mod second_factor;

pub use page::Page;
pub use pages::{PageAddress, Place, Visit, find};
