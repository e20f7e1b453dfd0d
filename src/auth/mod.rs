//! Who asks, and what they may do. May import ground, `hex` names and `state`.
//!
//! A right is a value: the methods of a repository want a [`ReadGrant`] or a [`WriteGrant`], and only [`AccessRules`]
//! makes one, so forgetting to authorise does not compile.

pub mod grant;
pub mod permission;
pub mod principal;
mod rules;

pub use grant::{PatternSet, ReadGrant, WriteGrant};
pub use permission::{Permission, Permissions};
pub use principal::{Caller, OwnerLevel, Principal, Proof, Role, SecondFactor, Who};
pub use rules::{AccessRules, Denied, Need};
