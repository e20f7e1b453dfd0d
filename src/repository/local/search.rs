//! Searching packages: hex.pm's grammar (server-api §1.9).

use std::cmp::Reverse;

use super::{LocalRepository, SearchRow};
use crate::auth::ReadGrant;
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::repository::RepoError;
use crate::repository::directory::ViewHome;

/// Maximum number of packages on a page.
pub(in crate::repository) const PAGE: usize = 100;

/// The sort order of packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) enum Sort {
    /// By name. Also used for the order by downloads, which are not counted here.
    #[default]
    Name,
    /// The newest package first.
    Inserted,
    /// The package that changed last first.
    Updated,
}

impl Sort {
    /// Reads the word of the API; an unknown one means the order by name.
    pub(in crate::repository) fn from_word(word: &str) -> Self {
        match word {
            "inserted_at" => Self::Inserted,
            "updated_at" => Self::Updated,
            _ => Self::Name,
        }
    }
}

/// The parts of a search. A package has to match all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) struct Query {
    /// Part of the name, or words of the description.
    pub(in crate::repository) text: Option<String>,
    /// The name, with an optional star at the beginning or the end.
    pub(in crate::repository) name: Option<String>,
    /// Words of the description, of which one has to match.
    pub(in crate::repository) description: Option<String>,
    /// A dependency of the latest release, and its repository as the client names it.
    pub(in crate::repository) depends: Option<(Option<String>, String)>,
    /// A tool that builds one of its releases.
    pub(in crate::repository) build_tool: Option<String>,
    /// Changed after this time.
    pub(in crate::repository) updated_after: Option<Timestamp>,
    /// Keys and a final value in the additional metadata.
    pub(in crate::repository) extra: Option<(Vec<String>, String)>,
}

impl Query {
    /// Parses the text of a user: words, and `key:value` or `key:"a value"`. Unknown keys are skipped.
    pub(in crate::repository) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut words: Vec<&str> = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let token = rest.get(..end).unwrap_or_default();
            let Some((key, begun)) = token.split_once(':').filter(|(key, _)| !key.is_empty()) else {
                words.push(token);
                rest = rest.get(end..).unwrap_or_default().trim_start();
                continue;
            };
            let behind = rest.get(key.len() + 1..).unwrap_or_default();
            let value = match behind.strip_prefix('"') {
                Some(quoted) => {
                    let (value, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                    rest = after.trim_start();
                    value
                }
                None => {
                    rest = rest.get(end..).unwrap_or_default().trim_start();
                    begun
                }
            };
            match key {
                "name" => query.name = Some(value.to_lowercase()),
                "description" => query.description = Some(value.to_owned()),
                "depends" => {
                    let (home, name) = value.rsplit_once(':').map_or((None, value), |(home, name)| (Some(home), name));
                    query.depends = Some((home.map(str::to_owned), name.to_owned()));
                }
                "build_tool" => query.build_tool = Some(value.to_owned()),
                "updated_after" => query.updated_after = time(value),
                "extra" => match value.rsplit_once(',') {
                    Some((keys, value)) => {
                        query.extra = Some((keys.split(',').map(str::to_owned).collect(), value.to_owned()));
                    }
                    // Without a comma it is no search for `extra`: the whole text is searched as it is.
                    None => query.text = Some(text.trim().to_owned()),
                },
                _ => {}
            }
        }
        if !words.is_empty() {
            query.text = Some(words.join(" "));
        }
        query
    }

    fn fits(&self, repository: &str, package: &SearchRow) -> bool {
        let description = package.about.description.as_deref().unwrap_or_default();
        let by_text = |text: &String| {
            let wanted = own_name(repository, text).to_lowercase();
            // One or two letters are in nearly every name.
            let by_name = if wanted.len() < 3 { package.name == wanted } else { package.name.contains(&wanted) };
            by_name || has_words(description, text)
        };
        self.text.as_ref().is_none_or(by_text)
            && self.name.as_ref().is_none_or(|name| like(&package.name, own_name(repository, name)))
            && self.description.as_ref().is_none_or(|words| has_words(description, words))
            && self.updated_after.is_none_or(|time| package.updated_at > time)
            && self.extra.as_ref().is_none_or(|(keys, value)| has_extra(package, keys, value))
    }
}

/// `acme/web` is `web` of `acme`.
fn own_name<'t>(repository: &str, text: &'t str) -> &'t str {
    match text.split_once('/') {
        Some((of, name)) if of == repository => name,
        _ => text,
    }
}

fn like(name: &str, pattern: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

/// Whether one of the words is in the text. Punctuation does not count.
fn has_words(text: &str, words: &str) -> bool {
    let split = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let there = split(text);
    split(words).iter().any(|word| there.contains(word))
}

fn has_extra(package: &SearchRow, keys: &[String], value: &str) -> bool {
    let mut keys = keys.iter();
    let Some(mut found) = keys.next().and_then(|key| package.about.extra.get(key)) else { return false };
    for key in keys {
        let Some(below) = found.get(key) else { return false };
        found = below;
    }
    let is = |found: &serde_json::Value| {
        found.as_str() == Some(value) || found.as_i64().is_some_and(|number| number.to_string() == value)
    };
    is(found) || found.as_array().is_some_and(|items| items.iter().any(is))
}

/// `2026-01-31T12:00:00Z`
fn time(text: &str) -> Option<Timestamp> {
    let time = humantime::parse_rfc3339_weak(text.trim_end_matches("+00:00")).ok()?;
    Some(Timestamp::from(time))
}

impl LocalRepository {
    /// The matching packages that a caller may read, in the requested order.
    pub(in crate::repository) async fn search(
        &self,
        grant: &ReadGrant,
        query: &Query,
        sort: Sort,
    ) -> Result<Vec<SearchRow>, RepoError> {
        self.check(grant)?;
        let homes = match &query.depends {
            Some((Some(word), package)) => match self.homes(word, package).await {
                Some(homes) => Some(homes),
                // No repository has this name, so no package can depend on it.
                None => return Ok(Vec::new()),
            },
            _ => None,
        };
        let homes = homes.as_ref().map(|homes| homes.each_ref().map(RepoName::as_str));
        let depends = query.depends.as_ref().map(|(_, package)| (package.as_str(), homes));
        let mut found = self.state.search(self.key().as_str(), depends, query.build_tool.as_deref()).await?;
        let repository = self.key().as_str();
        found.retain(|package| {
            let name = package.name.as_str();
            grant.packages().allows(name) && self.options.identity.names.allows(name) && query.fits(repository, package)
        });
        match sort {
            // The packages come in this order.
            Sort::Name if query.updated_after.is_some() => found.sort_by_key(|package| package.updated_at),
            Sort::Name => {}
            Sort::Inserted => found.sort_by_key(|package| Reverse(package.inserted_at)),
            Sort::Updated => found.sort_by_key(|package| Reverse(package.updated_at)),
        }
        Ok(found)
    }
}

impl LocalRepository {
    /// The keys under which a dependency from the repository `word` is recorded: that of the repository, and if it is
    /// virtual, that of the member that has the package.
    async fn homes(&self, word: &str, package: &str) -> Option<[RepoName; 2]> {
        let own = word == self.key().as_str() || word == self.options.identity.name.as_str();
        let key = if own { self.key().clone() } else { self.directory.resolve(word)? };
        let home = self.directory.home(&key, &package.parse().ok()?).await;
        let member = if let ViewHome::In(member) = home { member } else { key.clone() };
        Some([key, member])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::packages::ReleaseMetadata;

    fn package(name: &str, description: &str) -> SearchRow {
        let extra = json!({"team": {"name": "core"}, "tags": ["a", 7]});
        SearchRow {
            name: name.to_owned(),
            inserted_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(2_000_000_000),
            about: ReleaseMetadata {
                description: Some(description.to_owned()),
                extra: extra.as_object().cloned().unwrap_or_default(),
                ..ReleaseMetadata::default()
            },
        }
    }

    #[test]
    fn what_is_typed_finds_what_is_meant() {
        let web = package("acme_web", "Serves pages, quickly.");
        for (text, fits) in [
            ("", true),
            ("web", true),
            ("acme/acme_web", true),
            ("we", false),
            ("pages", true),
            ("slow pages", true),
            ("slow", false),
            ("name:acme*", true),
            ("name:*web", true),
            ("name:*me_w*", true),
            ("name:web", false),
            ("name:acme/acme_web", true),
            ("description:\"quickly or not\"", true),
            ("description:never", false),
            ("updated_after:2030-01-01T00:00:00Z", true),
            ("updated_after:2040-01-01T00:00:00Z", false),
            ("updated_after:yesterday", true),
            ("extra:team,name,core", true),
            ("extra:tags,7", true),
            ("extra:tags,b", false),
            ("unknown:thing web", true),
            ("name:acme* slow", false),
            ("description:\"unterminated", false),
        ] {
            assert_eq!(Query::parse(text).fits("acme", &web), fits, "{text}: {:?}", Query::parse(text));
        }
        assert_eq!(
            Query::parse("depends:hexpm:plug build_tool:mix").depends,
            Some((Some("hexpm".to_owned()), "plug".to_owned()))
        );
    }
}
