//! The composition root: builds all parts of the program from the settings, and starts, reloads and stops them.

mod accounts;
mod advisories;
pub mod build;
mod changes;
mod configured;
pub mod core;
mod error;
mod evaluate;
mod installs;
mod reload;
pub mod run;

pub use self::build::Inputs;
pub use self::core::Core;
pub use self::error::StartError;
pub use self::run::{Addresses, App};
