//! What a view shows of what its members have, and what may be had of it. Pure.
//!
//! Bytes and names go in, bytes come out: what is trusted, stored or asked for is decided elsewhere. `merge` unites
//! members; the others decide by the rules of a policy, whose words and grammar are those of Hex's own dependency
//! policies, with licences, freezes, ends and reasons added.

// What a new value of an enumeration means has to be decided wherever it is matched.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod class;
pub mod date_time;
pub mod decide;
pub mod decision_inputs;
pub mod filter;
pub mod lists;
pub mod merge;
pub mod osv;
pub mod overrides;
pub mod reason;
pub mod release_facts;
pub mod resource;
pub mod rules;
pub mod severity;
