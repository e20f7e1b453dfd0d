//! Reads registry resources in the wire format.
//!
//! Decoding checks the schema: every field that clients need is present, well-formed and within limits. Versions stay
//! text, because one invalid version must not make a whole signed resource unusable. A resource is rejected only if
//! clients would crash on it, or two clients could read it differently.

mod bulk;
mod dependencies;
mod package;
mod policy;
mod remarks;

pub use bulk::{BulkEntry, NamesIndex, VersionsIndex, lists, names_entries, versions_entries};
pub use dependencies::{Dependency, DependencyList, dependencies};
pub use package::{PackageIndex, Release};
pub use policy::PolicyIndex;
pub use remarks::remarks;

use super::limits;
use super::resource::RegistryResource;
use super::wire::{Field, Fields, WireError, once};

/// A decoded registry resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// `names`
    Names(NamesIndex),
    /// `versions`
    Versions(VersionsIndex),
    /// `packages/NAME`
    Package(PackageIndex),
    /// `policies/NAME`
    Policy(PolicyIndex),
}

/// Why a payload is not a valid resource of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The message is malformed, or a field is missing, duplicated or of the wrong type.
    #[error("cannot decode the message {message}")]
    Wire {
        message: &'static str,
        #[source]
        source: WireError,
    },
    /// A required text is empty.
    #[error("field {field} of {message} is empty")]
    Empty { message: &'static str, field: u32 },
    /// A text contains NUL, which databases cannot store.
    #[error("field {field} of {message} holds the character NUL")]
    Nul { message: &'static str, field: u32 },
    /// A checksum is not SHA-256.
    #[error("release {version:?} has a checksum of {length} bytes; SHA-256 has 32")]
    Checksum { version: Box<str>, length: usize },
    /// A release refers to an advisory that does not exist. Clients reject such a resource.
    #[error("release {version:?} refers to advisory {index}, but there are only {advisories}")]
    Advisory { version: Box<str>, index: u64, advisories: usize },
    /// A version is listed twice, so it is unclear which checksum counts.
    #[error("release {version:?} is listed twice")]
    DoubleRelease { version: Box<str> },
    /// More items than any real resource has.
    #[error("{message} lists more than {max} {what}")]
    TooMany { message: &'static str, what: &'static str, max: usize },
    /// The payload exceeds the size limit of the resource.
    #[error("the payload has {length} bytes, but at most {max} are allowed")]
    TooLarge { length: usize, max: usize },
}

impl RegistryResource {
    /// The largest payload that this resource may have.
    pub fn max_payload(&self) -> usize {
        match self {
            Self::Names | Self::Versions => limits::BULK_PAYLOAD,
            Self::Package(_) => limits::PACKAGE_PAYLOAD,
            Self::Policy(_) => limits::POLICY_PAYLOAD,
        }
    }
}

impl Index {
    /// Reads `payload` as the message type of `resource`.
    ///
    /// Does not check the repository and the name in the payload: see `trust::verify`.
    pub fn decode(resource: &RegistryResource, payload: &[u8]) -> Result<Self, SchemaError> {
        let max = resource.max_payload();
        if payload.len() > max {
            return Err(SchemaError::TooLarge { length: payload.len(), max });
        }
        match resource {
            RegistryResource::Names => NamesIndex::decode(payload).map(Self::Names),
            RegistryResource::Versions => VersionsIndex::decode(payload).map(Self::Versions),
            RegistryResource::Package(_) => PackageIndex::decode(payload).map(Self::Package),
            RegistryResource::Policy(_) => PolicyIndex::decode(payload).map(Self::Policy),
        }
    }

    /// The repository that the payload states.
    pub fn repository(&self) -> &str {
        match self {
            Self::Names(index) => &index.repository,
            Self::Versions(index) => &index.repository,
            Self::Package(index) => &index.repository,
            Self::Policy(index) => &index.repository,
        }
    }

    /// The package or policy that the payload states.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Names(_) | Self::Versions(_) => None,
            Self::Package(index) => Some(&index.name),
            Self::Policy(index) => Some(&index.name),
        }
    }

    /// The index of a package; `None` if this is another resource.
    pub fn as_package(&self) -> Option<&PackageIndex> {
        match self {
            Self::Package(index) => Some(index),
            _ => None,
        }
    }
}

/// Why reading the fields of a message failed.
enum FieldFault {
    /// The message itself is malformed.
    Wire(WireError),
    /// It violates the schema, or a nested message is malformed.
    Schema(SchemaError),
}

impl From<WireError> for FieldFault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<SchemaError> for FieldFault {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

/// Calls `read` with each field of `payload`, whose type is `message`. Stops at the first error.
#[inline]
fn each_field<'a>(
    message: &'static str,
    payload: &'a [u8],
    mut read: impl FnMut(&Field<'a>) -> Result<(), FieldFault>,
) -> Result<(), SchemaError> {
    Fields::new(payload).try_for_each(|field| read(&field?)).map_err(|fault| match fault {
        FieldFault::Wire(source) => SchemaError::Wire { message, source },
        FieldFault::Schema(error) => error,
    })
}

/// Checks a required text: it must be present, not empty, and without NUL, which not every database can store.
fn filled<T: AsRef<str>>(slot: Option<T>, message: &'static str, field: u32) -> Result<T, SchemaError> {
    let text = slot.ok_or(SchemaError::Wire { message, source: WireError::Missing { field } })?;
    match text.as_ref().as_bytes() {
        [] => Err(SchemaError::Empty { message, field }),
        bytes if bytes.contains(&0) => Err(SchemaError::Nul { message, field }),
        _ => Ok(text),
    }
}

/// Puts the text of a field into its slot. A second one is an error.
fn set_text<'a>(slot: &mut Option<&'a str>, field: &Field<'a>) -> Result<(), WireError> {
    once(slot, field.text()?, field.number)
}

/// Increments a counter; an error above `max`.
fn count(counter: &mut usize, message: &'static str, what: &'static str, max: usize) -> Result<(), SchemaError> {
    *counter += 1;
    if *counter > max { Err(SchemaError::TooMany { message, what, max }) } else { Ok(()) }
}

/// The beginning of an untrusted text, for an error message.
fn excerpt(text: &str) -> Box<str> {
    text.chars().take(limits::EXCERPT).collect()
}

#[cfg(test)]
mod tests;
