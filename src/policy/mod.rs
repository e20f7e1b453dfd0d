//! What may be had: rules, one decision function, the filter. Pure; may import `hex` and the number of the clock. Time
//! is an argument.
//!
//! The words and the grammar are those of Hex's own dependency policies; licences, freezes, ends and reasons are added.

pub mod bulk;
pub mod cooldown;
pub mod decide;
pub mod facts;
pub mod filter;
pub mod licence;
pub mod overrides;
pub mod resource;
pub mod rule;
pub mod rules;
pub mod severity;
