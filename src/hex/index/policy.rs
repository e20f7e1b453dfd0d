//! `policies/NAME`: a policy of an upstream.
//!
//! Clients enforce such a policy. This server only passes it on, and checks only its structure.

use super::{SchemaError, each_field, filled, set_text};

/// The summary of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyIndex {
    /// The policy's name.
    pub name: Box<str>,
    /// The repository it belongs to.
    pub repository: Box<str>,
    /// Whether its visibility is public.
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

        let (mut repository, mut name, mut is_public) = (None, None, false);
        each_field(message, payload, |field| {
            match field.number {
                REPOSITORY => set_text(&mut repository, field)?,
                NAME => set_text(&mut name, field)?,
                DESCRIPTION => field.text().map(drop)?,
                VISIBILITY => is_public = field.varint()? == PUBLIC,
                REPOSITORIES => check_rules(field.bytes()?)?,
                _ => {}
            }
            Ok(())
        })?;
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

    let mut repository = None;
    each_field(message, rules, |field| {
        match field.number {
            REPOSITORY => set_text(&mut repository, field)?,
            RESTRICTION => each_field("Restriction", field.bytes()?, |_| Ok(()))?,
            OVERRIDES => check_override(field.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    filled(repository, message, REPOSITORY)?;
    Ok(())
}

/// Unknown actions and reasons are accepted: clients ignore them.
fn check_override(record: &[u8]) -> Result<(), SchemaError> {
    const ACTION: u32 = 1;
    const REF: u32 = 2;
    const ADVISORY_ID: u32 = 3;
    const RETIREMENT_REASON: u32 = 4;
    const COMMENT: u32 = 5;
    const PACKAGE: u32 = 1;
    const REQUIREMENT: u32 = 2;
    let message = "Override";

    let mut package = None;
    each_field(message, record, |field| {
        match field.number {
            ACTION | RETIREMENT_REASON => field.varint().map(drop)?,
            REF => each_field(message, field.bytes()?, |field| {
                match field.number {
                    PACKAGE => set_text(&mut package, field)?,
                    REQUIREMENT => field.text().map(drop)?,
                    _ => {}
                }
                Ok(())
            })?,
            ADVISORY_ID | COMMENT => field.text().map(drop)?,
            _ => {}
        }
        Ok(())
    })?;
    filled(package, message, REF)?;
    Ok(())
}
