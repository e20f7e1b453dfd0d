//! Reads `metadata.config`, the metadata of a package.
//!
//! The metadata is read into values that the registry and the API show. Violations are reported field by field, in the
//! words of hex.pm.

mod display_metadata;
mod extra;
mod licences;
mod requirements;

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::invalid::Invalid;
use super::name::PackageName;
use super::requirement::Requirement;
use super::reserved::is_reserved;
use super::term::{Term, TermError, text};
use super::version::ReleaseVersion;
use super::{limits, uri};

pub use display_metadata::DisplayMetadata;
pub use licences::{LicencesError, licences_of};

/// The metadata of a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Its name.
    pub name: PackageName,
    /// The version of this release, without build metadata.
    pub version: ReleaseVersion,
    /// The OTP application.
    pub app: Box<str>,
    /// The description.
    pub description: Option<Box<str>>,
    /// Licences, as written.
    pub licenses: Vec<Box<str>>,
    /// The links: name → http or https URL.
    pub links: BTreeMap<String, String>,
    /// The maintainers; deprecated.
    pub maintainers: Vec<Box<str>>,
    /// The build tools, such as `mix` and `rebar3`, without duplicates.
    pub build_tools: Vec<Box<str>>,
    /// The requirement for the version of Elixir.
    pub elixir: Option<Box<str>>,
    /// The dependencies, sorted by package.
    pub requirements: Vec<Dependency>,
    /// Additional data of the author; maps may be nested.
    pub extra: Map<String, Value>,
}

/// A package that a release depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its name.
    pub package: PackageName,
    /// The version requirement.
    pub requirement: Box<str>,
    /// Whether it is optional: used only if another package requires it.
    pub optional: bool,
    /// Its OTP application.
    pub app: Box<str>,
    /// The name of the repository, as written in the package.
    pub repository: Option<Box<str>>,
}

/// Largest number in a version: hex.pm's database stores fourteen digits.
const LARGEST_NUMBER: u64 = 99_999_999_999_999;

/// Longest pre-release part of a version.
const LONGEST_PRE_RELEASE: usize = 64;

type Pairs = BTreeMap<String, Term>;

/// Only one metadata file is parsed at a time. The parsed form of one mebibyte can take much memory.
static READING: Mutex<()> = Mutex::new(());

impl Metadata {
    /// Reads and validates all fields.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let _alone = READING.lock();
        let pairs = pairs(bytes)?;
        let mut faults = Invalid::default();
        let name = take(&mut faults, name(&pairs));
        let version = take(&mut faults, version(&pairs));
        let app = take(&mut faults, app(&pairs));
        let description = take(&mut faults, optional_text(&pairs, "description"));
        let licenses = take(&mut faults, texts(&pairs, "licenses")).unwrap_or_default();
        let maintainers = take(&mut faults, texts(&pairs, "maintainers")).unwrap_or_default();
        let links = take(&mut faults, links(&pairs)).unwrap_or_default();
        let files = take(&mut faults, files(&pairs)).unwrap_or_default();
        let build_tools = take(&mut faults, build_tools(&pairs, &files)).unwrap_or_default();
        let elixir = take(&mut faults, elixir(&pairs)).flatten();
        let requirements = take(&mut faults, requirements::read(&pairs)).unwrap_or_default();
        let extra = take(&mut faults, extra(&pairs)).unwrap_or_default();
        let (Some(name), Some(version), Some(app)) = (name, version, app) else { return Err(faults) };
        let description = description.flatten();
        faults.into_result(Self {
            name,
            version,
            app,
            description,
            licenses,
            links,
            maintainers,
            build_tools,
            elixir,
            requirements,
            extra,
        })
    }

    /// Reads only the name: access to the package is checked before the other fields are validated.
    pub fn name_of(bytes: &[u8]) -> Result<PackageName, Invalid> {
        let _alone = READING.lock();
        name(&pairs(bytes)?)
    }
}

/// Returns the value, or `None` after adding the errors to `faults`.
fn take<T>(faults: &mut Invalid, read: Result<T, Invalid>) -> Option<T> {
    read.map_err(|more| faults.extend(more)).ok()
}

fn pairs(bytes: &[u8]) -> Result<Pairs, Invalid> {
    let unreadable = |error: &TermError| Invalid::of("tar", format!("error reading package metadata: {error}"));
    let terms = text::plain(bytes).map_err(|error| unreadable(&error))?;
    let mut pairs = Pairs::new();
    for term in terms {
        let Term::Tuple(items) = term else { return Err(not_pairs()) };
        let Ok([key, value]) = <[Term; 2]>::try_from(items) else { return Err(not_pairs()) };
        check_atoms(&value).map_err(|error| unreadable(&error))?;
        let key = key_text(&key).ok_or_else(not_pairs)?;
        if key.contains('\0') || has_nul(&value) {
            return Err(Invalid::of("tar", "error reading package metadata: a text holds the character NUL (U+0000)"));
        }
        // If a key occurs twice, the last value counts, as for all readers.
        pairs.insert(key, value);
    }
    Ok(pairs)
}

fn not_pairs() -> Invalid {
    Invalid::of("tar", "error reading package metadata: not in key-value format")
}

/// Rejects all other atoms: Erlang readers accept only atoms that exist.
fn check_atoms(term: &Term) -> Result<(), TermError> {
    match term {
        Term::Atom(text) if matches!(&**text, "true" | "false" | "undefined" | "nil") => Ok(()),
        Term::Atom(text) => Err(TermError::Atom(text.chars().take(limits::EXCERPT).collect())),
        Term::List(items) | Term::Tuple(items) => items.iter().try_for_each(check_atoms),
        Term::Map(pairs) => pairs.iter().try_for_each(|(key, value)| {
            // Keys may be any atom in practice: `{app, <<"x">>}` in lists of old packages.
            if matches!(key, Term::Atom(_)) { check_atoms(value) } else { check_atoms(key).and(check_atoms(value)) }
        }),
        Term::Integer(_) | Term::Big(_) | Term::Float(_) | Term::Binary(_) | Term::Characters(_) => Ok(()),
    }
}

/// Whether a text in the term contains NUL: no database except SQLite can store it.
fn has_nul(term: &Term) -> bool {
    match term {
        Term::Binary(bytes) => bytes.contains(&0),
        Term::Characters(text) | Term::Atom(text) => text.contains('\0'),
        Term::List(items) | Term::Tuple(items) => items.iter().any(has_nul),
        Term::Map(pairs) => pairs.iter().any(|(key, value)| has_nul(key) || has_nul(value)),
        Term::Integer(_) | Term::Big(_) | Term::Float(_) => false,
    }
}

fn key_text(term: &Term) -> Option<String> {
    match term {
        Term::Atom(text) => Some(text.to_string()),
        other => other.as_str().map(str::to_owned),
    }
}

fn is_nothing(term: &Term) -> bool {
    matches!(term, Term::Atom(text) if matches!(&**text, "nil" | "undefined"))
}

/// The value of a key; `None` if it is missing or null.
fn value<'p>(pairs: &'p Pairs, key: &str) -> Option<&'p Term> {
    pairs.get(key).filter(|term| !is_nothing(term))
}

/// Converts a binary or an Erlang string to text.
fn read_text(term: &Term) -> Option<Box<str>> {
    match term {
        Term::Binary(bytes) => std::str::from_utf8(bytes).ok().map(Into::into),
        Term::Characters(text) => (!text.is_empty()).then(|| text.clone()),
        Term::List(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Term::Integer(code) => u32::try_from(*code).ok().and_then(char::from_u32),
                _ => None,
            })
            .collect::<Option<String>>()
            .filter(|text| !text.contains('\0'))
            .map(Into::into),
        _ => None,
    }
}

const NOT_TEXT: &str = "must be a text in UTF-8";
const BLANK: &str = "can't be blank";

/// Whether a term is `[]`, or `""`, which is the same in Erlang.
fn is_empty_list(term: &Term) -> bool {
    match term {
        Term::List(items) => items.is_empty(),
        Term::Characters(text) => text.is_empty(),
        _ => false,
    }
}

fn optional_text(pairs: &Pairs, key: &str) -> Result<Option<Box<str>>, Invalid> {
    let Some(term) = value(pairs, key) else { return Ok(None) };
    if is_empty_list(term) {
        return Ok(None);
    }
    let text = read_text(term).ok_or_else(|| Invalid::of(key, NOT_TEXT))?;
    if !is_printable(&text) {
        return Err(Invalid::of(key, "has control characters"));
    }
    Ok((!text.trim().is_empty()).then_some(text))
}

fn required_text(pairs: &Pairs, key: &str) -> Result<Box<str>, Invalid> {
    optional_text(pairs, key)?.ok_or_else(|| Invalid::of(key, BLANK))
}

/// Whether a text contains no control characters except line breaks and tabs, so that it is safe to print on a
/// terminal.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// Whether a text is safe as the name of an application in code that users copy into a project: letters, digits, `_`
/// and `@`.
pub fn is_app(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@'))
}

fn app(pairs: &Pairs) -> Result<Box<str>, Invalid> {
    let app = required_text(pairs, "app")?;
    if is_app(&app) { Ok(app) } else { Err(Invalid::of("app", "has invalid format: letters, digits and `_`")) }
}

fn texts(pairs: &Pairs, key: &str) -> Result<Vec<Box<str>>, Invalid> {
    let Some(term) = value(pairs, key) else { return Ok(Vec::new()) };
    let fault = || Invalid::of(key, "expected type list(string)");
    if is_empty_list(term) {
        return Ok(Vec::new());
    }
    let Term::List(items) = term else { return Err(fault()) };
    let most = if key == "files" { limits::ARCHIVE_ENTRIES } else { limits::METADATA_TEXTS };
    if items.len() > most {
        return Err(Invalid::of(key, format!("has more than {most} items")));
    }
    items.iter().map(|item| read_text(item).ok_or_else(fault)).collect()
}

fn name(pairs: &Pairs) -> Result<PackageName, Invalid> {
    let text = required_text(pairs, "name")?;
    if is_reserved(&text) {
        return Err(Invalid::of("name", "is reserved"));
    }
    if text.len() < 2 {
        return Err(Invalid::of("name", "should be at least 2 character(s)"));
    }
    text.parse().map_err(|error| Invalid::of("name", format!("has invalid format: {error}")))
}

fn version(pairs: &Pairs) -> Result<ReleaseVersion, Invalid> {
    let text = required_text(pairs, "version")?;
    let fault = |message: &str| Invalid::of("version", message);
    let version: ReleaseVersion = text.parse().map_err(|_| fault("is invalid SemVer"))?;
    if text.contains('+') {
        return Err(fault("build number not allowed"));
    }
    let (numbers, pre_release) = text.split_once('-').unwrap_or((&text, ""));
    let too_large = |number: &str| number.parse::<u64>().is_ok_and(|number| number > LARGEST_NUMBER);
    if numbers.split('.').chain(pre_release.split('.')).any(too_large) {
        return Err(fault("has a number that is too large"));
    }
    if pre_release.len() > LONGEST_PRE_RELEASE {
        return Err(fault("has a pre-release of more than 64 characters"));
    }
    Ok(version)
}

fn links(pairs: &Pairs) -> Result<BTreeMap<String, String>, Invalid> {
    let Some(term) = value(pairs, "links") else { return Ok(BTreeMap::new()) };
    let fault = || Invalid::of("links", "expected type map(string)");
    let mut links = BTreeMap::new();
    let entries = entries(term).ok_or_else(fault)?;
    if entries.len() > limits::METADATA_TEXTS {
        return Err(Invalid::of("links", format!("has more than {} items", limits::METADATA_TEXTS)));
    }
    for (key, value) in entries {
        let url = read_text(value).ok_or_else(fault)?;
        if !uri::is_web(&url) {
            let excerpt: String = url.chars().take(limits::EXCERPT).collect();
            return Err(Invalid::of("links", format!("invalid link {excerpt:?}")));
        }
        links.insert(key, url.into());
    }
    Ok(links)
}

/// The entries of a map, or of a list of pairs, which old packages have.
fn entries(term: &Term) -> Option<Vec<(String, &Term)>> {
    match term {
        Term::Map(pairs) => pairs.iter().map(|(key, value)| Some((key_text(key)?, value))).collect(),
        _ if is_empty_list(term) => Some(Vec::new()),
        Term::List(items) => items
            .iter()
            .map(|item| match item {
                Term::Tuple(pair) => match pair.as_slice() {
                    [key, value] => Some((key_text(key)?, value)),
                    _ => None,
                },
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn files(pairs: &Pairs) -> Result<Vec<Box<str>>, Invalid> {
    let files = match value(pairs, "files") {
        // Old packages have a list of pairs of name and content.
        Some(term @ Term::List(items)) if items.iter().all(|item| matches!(item, Term::Tuple(_))) => {
            entries(term).unwrap_or_default().into_iter().map(|(name, _)| name.into()).collect()
        }
        _ => texts(pairs, "files")?,
    };
    if files.is_empty() { Err(Invalid::of("files", "package can't be empty")) } else { Ok(files) }
}

/// The build tools as written, without duplicates. If there are none, they are derived from the files.
fn build_tools(pairs: &Pairs, files: &[Box<str>]) -> Result<Vec<Box<str>>, Invalid> {
    let mut tools = texts(pairs, "build_tools")?;
    if tools.is_empty() {
        let known = [
            ("mix.exs", "mix"),
            ("rebar.config", "rebar3"),
            ("rebar", "rebar3"),
            ("Makefile", "make"),
            ("Makefile.win", "make"),
        ];
        let found = known.iter().filter(|(file, _)| files.iter().any(|name| **name == **file));
        tools = found.map(|(_, tool)| Box::from(*tool)).collect();
    }
    let mut seen = BTreeSet::new();
    tools.retain(|tool| seen.insert(tool.clone()));
    if tools.is_empty() && !files.is_empty() { Err(Invalid::of("build_tools", BLANK)) } else { Ok(tools) }
}

fn elixir(pairs: &Pairs) -> Result<Option<Box<str>>, Invalid> {
    let Some(text) = optional_text(pairs, "elixir")? else { return Ok(None) };
    match text.parse::<Requirement>() {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(Invalid::of("elixir", error.to_string())),
    }
}

fn extra(pairs: &Pairs) -> Result<Map<String, Value>, Invalid> {
    let Some(term) = value(pairs, "extra") else { return Ok(Map::new()) };
    extra::read(term).map_err(|error| Invalid::of("extra", error.to_string()))
}

#[cfg(test)]
mod tests;
