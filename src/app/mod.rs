//! The composition root: settings become running parts; they start, reload and stop here. May import everything.

mod accounts;
mod administer;
mod advisories;
mod backup;
pub mod build;
mod bundle;
mod changes;
mod claims;
pub mod core;
mod evaluate;
mod explain;
mod fetches;
mod files;
mod import;
mod installs;
mod jobs;
pub mod keys;
mod mirror;
mod policies;
pub mod run;
mod space;
mod works;

pub use self::backup::restore;
pub use self::build::{Inputs, StartError};
pub use self::core::Core;
pub use self::run::{Addresses, App};
