//! What a policy looks at: of a package in `packages/NAME`, read on the wire, in the lists, and in its tarballs.

use super::severity::Severity;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::index::{PackageIndex, SchemaError};
use crate::hex::version::ReleaseVersion;
use crate::hex::wire::{Fields, WireError};

/// A package, as its policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFacts {
    pub name: Box<str>,
    /// In the order of the payload.
    pub releases: Vec<ReleaseFacts>,
    /// In the order of the payload, at which releases point.
    pub advisories: Vec<AdvisoryFacts>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// As the index spells it.
    pub text: Box<str>,
    /// The same, where it is a version.
    pub version: Option<ReleaseVersion>,
    pub outer: Option<Sha256>,
    pub inner: Option<Sha256>,
    pub published_at: Option<Timestamp>,
    pub retired: Option<Retired>,
    /// Places in [`PackageFacts::advisories`].
    pub advisories: Vec<usize>,
}

impl ReleaseFacts {
    /// The checksum by which it is known: the outer one; of old releases the inner one.
    pub fn checksum(&self) -> Option<Sha256> {
        self.outer.or(self.inner)
    }
}

/// Why a release is retired; `None` where the number is none that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired(pub Option<RetirementReason>);

/// An advisory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisoryFacts {
    pub id: Box<str>,
    pub aliases: Vec<Box<str>>,
    pub severity: Severity,
    /// Whether it stands in the index that the upstream has signed. One of a dump can hold a release, never let one go.
    pub is_signed: bool,
}

/// What `names` and `versions` say of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListedFacts {
    /// When it was last touched, where that is said.
    pub updated_at: Option<Timestamp>,
    /// Whether any of its releases is retired.
    pub has_retired: bool,
    /// Whether any of its releases has an advisory.
    pub has_advised: bool,
}

/// What the tarball of a release states as its licences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceFacts {
    /// These, as written; an empty list where it states none.
    Stated(Box<[Box<str>]>),
    /// They cannot be read, or readers read them in different ways; why.
    Unreadable(Box<str>),
}

impl AdvisoryFacts {
    /// Whether both are the same advisory, under whichever of their names.
    pub fn is_same(&self, other: &Self) -> bool {
        std::iter::once(&other.id).chain(&other.aliases).any(|name| self.is_called(name))
    }

    /// Whether `id` is its identifier or one of its other names, in whatever case.
    pub fn is_called(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    }
}

impl PackageFacts {
    /// Reads a payload, which must be one of `packages/NAME`.
    pub fn read(payload: &[u8]) -> Result<Self, SchemaError> {
        const RELEASES: u32 = 1;
        const ADVISORIES: u32 = 4;
        // The schema is checked there; what is read below cannot be of another kind.
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
