//! Supply-chain policies: which releases of a package clients may download, and how a virtual repository merges the
//! indexes of its members. Pure functions.
//!
//! This room verifies nothing, stores nothing and requests nothing. [`merge`] builds the indexes of a virtual
//! repository from those of its members. [`decide`] applies the rules of a policy to one release, [`filter`] to a
//! package, [`lists`] to `names` and `versions`. The words and the grammar of policies are those of Hex's own
//! dependency policies; licences, freezes, expiry dates and reasons are additions of this program. [`osv`] reads
//! security advisories from a file.

// A new variant must be handled at each match: no wildcard arms.
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
