//! The facts that policies evaluate: from the index of a package (`packages/NAME`), from the lists, and from tarballs.

use super::severity::Severity;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::index::{PackageIndex, SchemaError};
use crate::hex::version::ReleaseVersion;
use crate::hex::wire::{Fields, WireError};

/// The facts about a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFacts {
    pub name: Box<str>,
    /// In the order of the payload.
    pub releases: Vec<ReleaseFacts>,
    /// In the order of the payload; releases refer to them by their position.
    pub advisories: Vec<AdvisoryFacts>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// The version as it is written in the index.
    pub text: Box<str>,
    /// The parsed version; `None` if the text is not a valid version.
    pub version: Option<ReleaseVersion>,
    pub outer: Option<Sha256>,
    pub inner: Option<Sha256>,
    pub published_at: Option<Timestamp>,
    pub retired: Option<Retired>,
    /// Positions in [`PackageFacts::advisories`].
    pub advisories: Vec<usize>,
}

impl ReleaseFacts {
    /// The checksum that identifies it: the outer one, or the inner one of an old release that has no other.
    pub fn checksum(&self) -> Option<Sha256> {
        self.outer.or(self.inner)
    }
}

/// The reason why a release is retired; `None` if the number of the reason is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired(pub Option<RetirementReason>);

/// An advisory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisoryFacts {
    pub id: Box<str>,
    pub aliases: Vec<Box<str>>,
    pub severity: Severity,
    /// Whether it is part of the index that the upstream signed. An advisory from a dump can hold a release, but cannot
    /// exempt one from a cooldown.
    pub is_signed: bool,
}

/// The facts about a package in the lists `names` and `versions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListedFacts {
    /// When it last changed, if the list says so.
    pub updated_at: Option<Timestamp>,
    /// Whether any of its releases is retired.
    pub has_retired: bool,
    /// Whether any of its releases has an advisory.
    pub has_advisories: bool,
}

/// The licences that the tarball of a release states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceFacts {
    /// The licences as written; an empty list if the release states none.
    Stated(Box<[Box<str>]>),
    /// They cannot be read, or different readers read them differently. Contains the cause.
    Unreadable(Box<str>),
}

impl AdvisoryFacts {
    /// Whether both are the same advisory: they share an identifier or an alias.
    pub fn is_same(&self, other: &Self) -> bool {
        std::iter::once(&other.id).chain(&other.aliases).any(|name| self.is_called(name))
    }

    /// Whether `id` is its identifier or one of its aliases. Case is ignored.
    pub fn is_called(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    }
}

impl PackageFacts {
    /// Reads a payload of `packages/NAME`.
    pub fn read(payload: &[u8]) -> Result<Self, SchemaError> {
        const RELEASES: u32 = 1;
        const ADVISORIES: u32 = 4;
        // This checks the schema, so the fields read below have the expected types.
        let index = PackageIndex::decode(payload)?;
        let mut facts = Self {
            name: index.name.clone(),
            releases: Vec::with_capacity(index.releases.len()),
            advisories: Vec::new(),
        };
        let wire = |source| SchemaError::Wire { message: "Package", source };
        for field in Fields::new(payload) {
            let field = field.map_err(wire)?;
            match field.number {
                RELEASES => facts.releases.push(release(field.bytes().map_err(wire)?, &index).map_err(wire)?),
                ADVISORIES => facts.advisories.push(advisory(field.bytes().map_err(wire)?).map_err(wire)?),
                _ => {}
            }
        }
        Ok(facts)
    }

    /// The advisories of a release.
    pub fn advisories_of<'a>(&'a self, release: &'a ReleaseFacts) -> impl Iterator<Item = &'a AdvisoryFacts> {
        release.advisories.iter().filter_map(|place| self.advisories.get(*place))
    }
}

fn release(record: &[u8], index: &PackageIndex) -> Result<ReleaseFacts, WireError> {
    const VERSION: u32 = 1;
    const RETIRED: u32 = 4;
    const ADVISORY_INDEXES: u32 = 6;
    const REASON: u32 = 1;
    let (mut text, mut retired, mut advisories) = ("", None, Vec::new());
    for field in Fields::new(record) {
        let field = field?;
        match field.number {
            VERSION => text = field.text()?,
            RETIRED => {
                let mut reason = None;
                for field in Fields::new(field.bytes()?) {
                    let field = field?;
                    if field.number == REASON {
                        reason = RetirementReason::from_wire(field.varint()?);
                    }
                }
                retired = Some(Retired(reason));
            }
            ADVISORY_INDEXES => {
                for place in field.varints()? {
                    advisories.extend(usize::try_from(place?).ok());
                }
            }
            _ => {}
        }
    }
    let place = index.releases.binary_search_by(|release| (*release.version).cmp(text)).ok();
    let known = place.and_then(|place| index.releases.get(place));
    Ok(ReleaseFacts {
        version: text.parse().ok(),
        text: text.into(),
        outer: known.and_then(|release| release.outer),
        inner: known.and_then(|release| release.inner),
        published_at: known.and_then(|release| release.published_at),
        retired,
        advisories,
    })
}

fn advisory(record: &[u8]) -> Result<AdvisoryFacts, WireError> {
    const ID: u32 = 1;
    const SEVERITY: u32 = 4;
    const ALIASES: u32 = 7;
    const FROM_DUMP: u32 = 50_000;
    let (mut id, mut severity, mut aliases, mut is_signed) = ("", None, Vec::new(), true);
    for field in Fields::new(record) {
        let field = field?;
        match field.number {
            ID => id = field.text()?,
            SEVERITY => severity = Some(field.varint()?),
            ALIASES => aliases.push(field.text()?.into()),
            FROM_DUMP => is_signed = false,
            _ => {}
        }
    }
    Ok(AdvisoryFacts { id: id.into(), aliases, severity: Severity::from_wire(severity), is_signed })
}
