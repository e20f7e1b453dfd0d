//! `policies/NAME`: whose policy it is. May import `hex`.
//!
//! A policy is enforced by the clients that ask for it; here it is only carried, so only its shape is checked.

use super::{SchemaError, filled, set_text, within};
use crate::hex::wire::{Fields, WireError};

/// What is kept of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyIndex {
    /// The policy's name.
    pub name: Box<str>,
    /// The repository it belongs to.
    pub repository: Box<str>,
    /// Whether it says that everybody may have it.
    pub is_public: bool,
}

impl PolicyIndex {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SchemaError> {
        const REPOSITORY: u32 = 1;
        const NAME: u32 = 2;
        const DESCRIPTION: u32 = 3;
        const VISIBILITY: u32 = 4;
        const REPOSITORIES: u32 = 5;
        const PUBLIC: u64 = 1;
        let message = "Policy";
        let wire = within(message);

        let (mut repository, mut name, mut is_public) = (None, None, false);
        for field in Fields::new(payload) {
            let field = field.map_err(wire)?;
            match field.number {
                REPOSITORY => set_text(&mut repository, &field).map_err(wire)?,
                NAME => set_text(&mut name, &field).map_err(wire)?,
                DESCRIPTION => field.text().map(drop).map_err(wire)?,
                VISIBILITY => is_public = field.varint().map_err(wire)? == PUBLIC,
                REPOSITORIES => check_rules(field.bytes().map_err(wire)?)?,
                _ => {}
            }
        }
        Ok(Self {
            name: filled(name, message, NAME)?.into(),
            repository: filled(repository, message, REPOSITORY)?.into(),
            is_public,
        })
    }
}

fn check_rules(rules: &[u8]) -> Result<(), SchemaError> {
    const REPOSITORY: u32 = 1;
    const RESTRICTION: u32 = 2;
    const OVERRIDES: u32 = 3;
    let message = "RepositoryPolicy";
    let wire = within(message);

    let mut repository = None;
    for field in Fields::new(rules) {
        let field = field.map_err(wire)?;
        match field.number {
            REPOSITORY => set_text(&mut repository, &field).map_err(wire)?,
            RESTRICTION => check_records(field.bytes().map_err(wire)?).map_err(within("Restriction"))?,
            OVERRIDES => check_override(field.bytes().map_err(wire)?)?,
            _ => {}
        }
    }
    filled(repository, message, REPOSITORY)?;
    Ok(())
}

/// Actions and reasons that are not known are for clients to ignore.
fn check_override(record: &[u8]) -> Result<(), SchemaError> {
    const ACTION: u32 = 1;
    const REF: u32 = 2;
    const ADVISORY_ID: u32 = 3;
    const RETIREMENT_REASON: u32 = 4;
    const COMMENT: u32 = 5;
    const PACKAGE: u32 = 1;
    const REQUIREMENT: u32 = 2;
    let message = "Override";
    let wire = within(message);

    let mut package = None;
    for field in Fields::new(record) {
        let field = field.map_err(wire)?;
        match field.number {
            ACTION | RETIREMENT_REASON => field.varint().map(drop).map_err(wire)?,
            REF => {
                for field in Fields::new(field.bytes().map_err(wire)?) {
                    let field = field.map_err(wire)?;
                    match field.number {
                        PACKAGE => set_text(&mut package, &field).map_err(wire)?,
                        REQUIREMENT => field.text().map(drop).map_err(wire)?,
                        _ => {}
                    }
                }
            }
            ADVISORY_ID | COMMENT => field.text().map(drop).map_err(wire)?,
            _ => {}
        }
    }
    filled(package, message, REF)?;
    Ok(())
}

fn check_records(message: &[u8]) -> Result<(), WireError> {
    Fields::new(message).try_for_each(|field| field.map(drop))
}
