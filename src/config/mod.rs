//! The configuration, read from a file and the environment.
//!
//! Text → tree with places (`tree`) → with overrides from the environment (`environment`) → every key read and checked,
//! with its default (`compile`, using `fields` and `read`) → [`settings::Settings`]. No step stops at the first
//! problem: [`load`] returns settings, or all problems at once. `show` converts settings back to a file.

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
