//! Authentication and authorization: who sends a request, and what the sender may do.
//!
//! Access is a value: the methods of a repository need a [`ReadGrant`] or a [`WriteGrant`], and only [`AccessRules`]
//! creates them. So code that forgets the check does not compile.

mod accounts;
mod credential;
mod denied;
pub mod devices;
mod error;
pub mod grant;
mod last_used;
pub mod management;
mod memberships;
pub mod oauth;
mod password;
mod patterns;
pub mod permission;
pub mod principal;
mod program_name;
mod rules;
mod second_factor;
mod secret;
#[cfg(test)]
mod testing;
mod throttle;
mod totp;

pub use accounts::{AccountOptions, Accounts, CredentialUse, PresentedCredential, TotpMode};
pub use denied::Denied;
pub use error::AuthError;
pub use grant::{ConfirmGrant, GrantWithdrawn, ReadGrant, Readable, WriteGrant};
pub use management::{ManageError, NewKey, NewUser, UserChange};
pub use patterns::PatternSet;
pub use permission::{Permission, Permissions};
pub use principal::{Caller, OwnerLevel, Principal, Proof, Role, SecondFactor, Subject};
pub use rules::{AccessKind, AccessRules, ChangedBy, MemberRules, PublishedBy};
pub use secret::{NoRandom, NotASecret, ServerSecret, contains_secret, without_secrets};
pub use throttle::{RateLimitStatus, RateLimiter, RateLimits};
pub use totp::TotpSetup;

pub use crate::state::grants::Grant;
pub use crate::state::keys::{Key, LastUse, Revoked};
pub use crate::state::organizations::{Member, Organization};
pub use crate::state::tokens::Session;
pub use crate::state::users::User;
pub use crate::state::{AccountError, Owner};
