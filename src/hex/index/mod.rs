//! What a registry resource says, read on the wire.
//!
//! Decoding is the schema check: every field that clients rely on is there, well-formed and within limits. Versions
//! stay text: one that does not parse must not take away a whole signed resource. What a check refuses is refused
//! because clients would crash on it, or because two of them could read it differently.

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

/// Why a payload is not the resource it is said to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The message is broken, or a field is missing, doubled or of another kind.
    #[error("the message {message} does not decode")]
    Wire {
        message: &'static str,
        #[source]
        source: WireError,
    },
    /// A text that says nothing.
    #[error("field {field} of {message} is empty")]
    Empty { message: &'static str, field: u32 },
    /// A text that cannot be kept.
    #[error("field {field} of {message} holds the character NUL")]
    Nul { message: &'static str, field: u32 },
    /// A checksum that is not SHA-256.
    #[error("release {version:?} has a checksum of {length} bytes; SHA-256 has 32")]
    Checksum { version: Box<str>, length: usize },
    /// Clients take this for a broken resource.
    #[error("release {version:?} names advisory {index} of {advisories}")]
    Advisory { version: Box<str>, index: u64, advisories: usize },
    /// Which of the checksums would count?
    #[error("release {version:?} is listed twice")]
    DoubleRelease { version: Box<str> },
    /// More than anything real has.
    #[error("{message} lists more than {max} {what}")]
    TooMany { message: &'static str, what: &'static str, max: usize },
    /// More bytes than the resource may have.
    #[error("the payload has {length} bytes; at most {max} are allowed")]
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
    /// Reads `payload` as the message that `resource` is made of.
    ///
    /// Whether the payload belongs to this repository and this name is not asked here: see `trust::verify`.
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

    /// The repository that the payload says it belongs to.
    pub fn repository(&self) -> &str {
        match self {
            Self::Names(index) => &index.repository,
            Self::Versions(index) => &index.repository,
            Self::Package(index) => &index.repository,
            Self::Policy(index) => &index.repository,
        }
    }

    /// The package or policy that the payload says it is about.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Names(_) | Self::Versions(_) => None,
            Self::Package(index) => Some(&index.name),
            Self::Policy(index) => Some(&index.name),
        }
    }

    /// The index, if it is one of a package.
    pub fn as_package(&self) -> Option<&PackageIndex> {
        match self {
            Self::Package(index) => Some(index),
            _ => None,
        }
    }
}

/// Why the fields of a message are not what they should be.
enum FieldFault {
    /// The message itself is broken.
    Wire(WireError),
    /// It breaks a rule, or a message within it is broken.
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

/// Hands each field of `payload`, which is a `message`, to `read`. The first fault ends it.
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

/// A required text: present once, not empty, and one that every database keeps.
fn filled<T: AsRef<str>>(slot: Option<T>, message: &'static str, field: u32) -> Result<T, SchemaError> {
    let text = slot.ok_or(SchemaError::Wire { message, source: WireError::Missing { field } })?;
    match text.as_ref().as_bytes() {
        [] => Err(SchemaError::Empty { message, field }),
        bytes if bytes.contains(&0) => Err(SchemaError::Nul { message, field }),
        _ => Ok(text),
    }
}

/// Takes a field's text into its slot; refuses a second one.
fn set_text<'a>(slot: &mut Option<&'a str>, field: &Field<'a>) -> Result<(), WireError> {
    once(slot, field.text()?, field.number)
}

/// Counts one more, up to `max`.
fn count(counter: &mut usize, message: &'static str, what: &'static str, max: usize) -> Result<(), SchemaError> {
    *counter += 1;
    if *counter > max { Err(SchemaError::TooMany { message, what, max }) } else { Ok(()) }
}

/// The beginning of a foreign text, for an error message.
fn excerpt(text: &str) -> Box<str> {
    text.chars().take(limits::EXCERPT).collect()
}

#[cfg(test)]
mod tests;
