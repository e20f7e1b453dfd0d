//! What may be configured, read from a file and the environment.
//!
//! Text → tree with places (`tree`) → overrides of the environment put in (`environment`) → every key read, checked and
//! given its default (`compile`, by way of `walk` and `read`) → [`settings::Settings`]. No step stops at the first
//! problem: [`load`] gives settings, or every problem at once. `show` turns settings back into a file.

mod bounds;
mod compile;
mod defaults;
mod duration;
mod environment;
mod fault;
mod fields;
mod problem;
mod read;
mod reload;
mod reserve_gaps;
pub mod settings;
mod show;
mod source;
mod tree;
mod url;
mod warnings;

#[cfg(test)]
mod tests;

pub use fault::{Fault, KeyOrigin};
pub use problem::{ConfigError, Excerpt, Place, Problem};
pub use reload::unreloadable_changes;
pub use show::show;
pub use source::{Loaded, Source, load};
