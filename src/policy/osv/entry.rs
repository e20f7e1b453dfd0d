//! Reads the entries of an OSV file. Invalid parts are tolerated: they make an advisory affect more releases, never
//! fewer.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::cvss;
use crate::clock::Timestamp;
use crate::hex::message::{self, SecurityAdvisory};
use crate::hex::version::ReleaseVersion;
use crate::policy::date_time;

const ECOSYSTEM: &str = "Hex";

/// Longest text that is sent to clients, in characters.
const TEXT: usize = 500;

/// Largest number of aliases of an advisory.
const ALIASES: usize = 50;

/// Longest identifier or alias of an advisory, in bytes.
const NAME: usize = 100;

/// An advisory, and the packages and releases that it affects.
pub(super) struct ParsedAdvisory {
    pub(super) advisory: SecurityAdvisory,
    /// When it is withdrawn.
    pub(super) withdrawn: Option<Timestamp>,
    pub(super) packages: Vec<(Box<str>, Affected)>,
}

/// The releases of a package that an advisory affects.
#[derive(Clone, Debug, Default)]
pub(super) struct Affected {
    versions: BTreeSet<String>,
    ranges: Vec<Vec<Event>>,
}

#[derive(Clone, Debug)]
enum Event {
    Introduced(Option<ReleaseVersion>),
    Fixed(ReleaseVersion),
    LastAffected(ReleaseVersion),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Many(Vec<Entry>),
    One(Box<Entry>),
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    withdrawn: Option<String>,
    summary: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    affected: Vec<About>,
    database_specific: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Score {
    score: String,
}

#[derive(Deserialize)]
struct Reference {
    r#type: Option<String>,
    url: String,
}

#[derive(Deserialize)]
struct About {
    package: Option<Package>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct Range {
    r#type: String,
    #[serde(default)]
    events: Vec<RawEvent>,
}

#[derive(Deserialize)]
struct RawEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

/// Reads the advisories about Hex packages from a JSON document, which contains one entry or a list.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<ParsedAdvisory>, serde_json::Error> {
    let entries = match serde_json::from_slice(bytes)? {
        Document::Many(entries) => entries,
        Document::One(entry) => vec![*entry],
    };
    Ok(entries.into_iter().filter_map(parse_entry).collect())
}

fn parse_entry(entry: Entry) -> Option<ParsedAdvisory> {
    if !is_name(&entry.id) {
        return None;
    }
    // An advisory whose time cannot be read is not withdrawn.
    let withdrawn = entry.withdrawn.and_then(|at| date_time::parse_with_offset(&at));
    let about = entry.affected.iter().filter_map(|about| {
        let package = about.package.as_ref().filter(|package| package.ecosystem == ECOSYSTEM)?;
        Some((package.name.as_str().into(), Affected::of(about)))
    });
    let packages: Vec<(Box<str>, Affected)> = about.collect();
    let aliases: BTreeSet<String> = entry.aliases.into_iter().filter(|name| is_name(name)).take(ALIASES).collect();
    let is_web = |url: &&str| url.starts_with("https://") && url.len() <= TEXT && !url.contains(char::is_whitespace);
    let link = |kind: &str| {
        let mut links = entry.references.iter().filter(|link| link.r#type.as_deref() == Some(kind));
        links.find_map(|link| Some(link.url.as_str()).filter(is_web))
    };
    // If there are several vectors, the most severe score counts.
    let score = entry.severity.iter().filter_map(|score| cvss::score(&score.score)).max_by(f32::total_cmp);
    let word = entry.database_specific.as_ref().and_then(|specific| specific.get("severity")?.as_str());
    let severity = score.map(cvss::severity).or_else(|| word.and_then(of_word));
    let link = link("ADVISORY").or_else(|| link("WEB")).map(str::to_owned);
    let advisory = SecurityAdvisory {
        from_dump: Some(true),
        html_url: Some(link.unwrap_or_else(|| format!("https://osv.dev/vulnerability/{}", entry.id))),
        summary: entry.summary.map(|text| text.chars().filter(|c| !c.is_control()).take(TEXT).collect()),
        severity: severity.map(Into::into),
        cvss_score: score,
        api_url: None,
        aliases: aliases.into_iter().collect(),
        id: entry.id,
    };
    (!packages.is_empty()).then_some(ParsedAdvisory { advisory, withdrawn, packages })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The severity words of databases without scores, such as GitHub's.
fn of_word(word: &str) -> Option<message::Severity> {
    match word.to_ascii_lowercase().as_str() {
        "low" => Some(message::Severity::Low),
        "moderate" | "medium" => Some(message::Severity::Medium),
        "high" => Some(message::Severity::High),
        "critical" => Some(message::Severity::Critical),
        _ => None,
    }
}

impl Affected {
    fn of(about: &About) -> Self {
        let ranges = about.ranges.iter().filter(|range| matches!(range.r#type.as_str(), "SEMVER" | "ECOSYSTEM"));
        Self {
            versions: about.versions.iter().cloned().collect(),
            ranges: ranges.map(|range| range.events.iter().filter_map(Event::of).collect()).collect(),
        }
    }

    /// Whether a release is affected: it is listed, or lies in a range. `text` is the version as it is written in the
    /// index.
    pub(super) fn has(&self, text: &str, version: &ReleaseVersion) -> bool {
        self.versions.contains(text) || self.ranges.iter().any(|events| is_in(events, version))
    }
}

impl Event {
    fn of(event: &RawEvent) -> Option<Self> {
        let version = |text: &String| text.parse::<ReleaseVersion>().ok();
        match (&event.introduced, &event.fixed, &event.last_affected) {
            // If the first affected version cannot be read, the range begins with the first release.
            (Some(text), _, _) => Some(Self::Introduced(version(text))),
            (None, Some(text), _) => version(text).map(Self::Fixed),
            (None, None, Some(text)) => version(text).map(Self::LastAffected),
            (None, None, None) => None,
        }
    }

    /// The version at which the event takes effect; `None`: the first release.
    fn at(&self) -> Option<&ReleaseVersion> {
        match self {
            Self::Introduced(version) => version.as_ref(),
            Self::Fixed(version) | Self::LastAffected(version) => Some(version),
        }
    }
}

/// Whether a version lies in a range: applies the events of the range, sorted by version, up to this version.
fn is_in(events: &[Event], version: &ReleaseVersion) -> bool {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by(|one, other| match (one.at(), other.at()) {
        (None, None) => std::cmp::Ordering::Equal,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (Some(_), None) => std::cmp::Ordering::Greater,
        (Some(one), Some(other)) => one.cmp_precedence(other),
    });
    let mut affected = false;
    for event in sorted {
        match event {
            Event::Introduced(at) => affected |= at.as_ref().is_none_or(|at| at.cmp_precedence(version).is_le()),
            Event::Fixed(at) if at.cmp_precedence(version).is_le() => affected = false,
            Event::LastAffected(at) if at.cmp_precedence(version).is_lt() => affected = false,
            Event::Fixed(_) | Event::LastAffected(_) => {}
        }
    }
    affected
}
