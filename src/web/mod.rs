//! The HTML pages of the server: device login and second-factor setup.
//!
//! ```text
//! http::pages (form → Visit) → pages (table: path → handler) → handler(&Visit) → Page → http::pages (headers)
//! ```
//!
//! There are two pages: on one a user approves a program that logs in with the OAuth device flow; on the other a user
//! sets up a second factor. Pages use neither sessions nor cookies. Each form contains the user name and the password,
//! so another site cannot submit it in a user's name (cross-site request forgery).

mod device;
mod page;
mod pages;
mod second_factor;

pub use page::Page;
pub use pages::{PageAddress, Place, Visit, find};
