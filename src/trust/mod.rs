//! Who signed it: keys, the one verifier, the one signer. Pure.
//!
//! Trust is a type here. What arrives is an [`Envelope`](crate::hex::envelope::Envelope); only [`verify()`] makes a
//! [`Verified`] of it; only [`Verified::pass_through`] and [`Signer::seal`] make a [`SignedResource`], and nothing else
//! can be sent as the body of a registry resource.

// What a new value of an enumeration means has to be decided wherever it is matched.
#![warn(clippy::wildcard_enum_match_arm)]

mod encoder;
mod key;
mod pem;
mod public_key;
mod signed;
mod signer;
mod verify;

pub use encoder::{ENCODER_ID, Encoder};
pub use key::PrivateKey;
pub use pem::KeyError;
pub use public_key::{Fingerprint, FingerprintError, PublicKey};
pub use signed::SignedResource;
pub use signer::{SignError, Signer};
pub use verify::{Origin, Verified, VerifyError, is_signed, verify};
