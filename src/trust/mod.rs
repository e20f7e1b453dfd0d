//! Signatures of registry resources: RSA keys, verification and signing. Pure functions.
//!
//! Types express which bytes are trusted. An upstream sends an [`Envelope`](crate::hex::envelope::Envelope). Only
//! [`verify()`] turns it into a [`Verified`] resource, and only [`Verified::pass_through`] and [`Signer::seal`] create
//! a [`SignedResource`]. The server can send no other type as the body of a registry resource. *Sealing* means to sign
//! a payload and to wrap payload and signature in an envelope.

// A new variant must be handled at each match: no wildcard arms.
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
