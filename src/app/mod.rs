//! The composition root: settings become running parts; they start, reload and stop here.

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
