//! Converts the tree to [`Settings`]: reads each key, checks its bounds and applies its default.
//!
//! Always returns settings. They are valid only if no problem was added.

mod accounts;
mod bundles;
mod installs;
mod local;
mod patterns;
mod policies;
mod remote;
mod repositories;
mod server;
mod virtuals;

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::Fault;
use super::fields::{Field, Section};
use super::problem::{Excerpt, Problems};
use super::settings::{
    LogFormat, LogLevel, LogSettings, Settings, SigningKeySettings, SigningSettings, StorageSettings,
};
use super::tree::Node;
use super::{bounds, defaults};
use crate::hex::name::RepoName;

/// Data outside the text to which values can refer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// Folder for relative paths, as an absolute path.
    pub(super) base: &'a Path,
    /// The environment variables.
    pub(super) variables: &'a BTreeMap<String, String>,
}

/// Reads the whole document.
pub(super) fn settings(root: &Node, context: Context<'_>, problems: &Problems) -> Settings {
    let mut top = Section::of(&Field::root(root, problems));
    let server = server::server(top.section("server"), context);
    let log = log(top.section("log"));
    let storage = storage(top.section("storage"), context);
    let signing = signing(top.section("signing"), context);
    let default_repository = top.get("default_repository", hexpm(), Field::repo_name);
    let repositories = repositories::read(&mut top, &default_repository, context);
    let installs = installs::installs(top.section("installs"), context);
    let policies = policies::read(&mut top, &repositories);
    let auth = accounts::auth(top.section("auth"));
    let bundles = bundles::bundles(top.section("bundles"));
    let fetch_log = accounts::fetch_log(top.section("fetch_log"));
    top.finish();
    Settings {
        server,
        log,
        storage,
        signing,
        default_repository,
        installs,
        auth,
        bundles,
        fetch_log,
        policies,
        repositories,
    }
}

/// The key of the default repository if none is configured, which is also its name in clients.
fn hexpm() -> RepoName {
    #[expect(clippy::expect_used, reason = "the text is compiled in, and every test of the defaults parses it")]
    defaults::DEFAULT_REPOSITORY.parse().expect("hexpm is a repository name")
}

fn log(mut section: Section<'_>) -> LogSettings {
    let format = section.get("format", LogFormat::Text, Field::choice);
    let level = section.get("level", LogLevel::Info, Field::choice);
    section.finish();
    LogSettings { format, level }
}

fn storage(mut section: Section<'_>, context: Context<'_>) -> StorageSettings {
    let path = section.get("path", context.base.join(defaults::STORAGE_PATH), |field| field.path(context.base));
    let cache_limit = section.get("cache_limit", defaults::CACHE_LIMIT, |field| field.size_limit(&bounds::CACHE_LIMIT));
    let memory_limit =
        section.get("memory_limit", defaults::MEMORY_LIMIT, |field| field.size_limit(&bounds::MEMORY_LIMIT));
    section.finish();
    StorageSettings { path, cache_limit, memory_limit }
}

fn signing(mut section: Section<'_>, context: Context<'_>) -> SigningSettings {
    let mut complete = true;
    let mut ids: Vec<String> = Vec::new();
    let read = section.field("keys").map(|field| {
        let keys = field.list(|item| {
            let key = signing_key(item, &mut ids, context);
            complete &= key.is_some();
            key
        });
        if field.is_empty_list() {
            field.fault(Fault::NoSigningKeys);
        }
        complete &= keys.is_some();
        keys.unwrap_or_default()
    });
    let keys = read.unwrap_or_else(|| {
        ids.push(defaults::SIGNING_KEY.to_owned());
        vec![SigningKeySettings { id: defaults::SIGNING_KEY.to_owned(), file: None }]
    });
    let active = section.get("active", defaults::SIGNING_KEY.to_owned(), |field| field.text().map(str::to_owned));
    // If a key could not be read, it is unknown whether it is the active one.
    if complete && !ids.is_empty() && !ids.contains(&active) {
        section.fault("active", Fault::ActiveKey { active: Excerpt::new(&active), known: ids });
    }
    section.finish();
    SigningSettings { keys, active }
}

fn signing_key(item: &Field<'_>, ids: &mut Vec<String>, context: Context<'_>) -> Option<SigningKeySettings> {
    let mut section = item.table()?;
    let id = section.require("id", Fault::MissingKeyId, |field| {
        let id = field.text()?;
        let fault = if !is_key_id(id) {
            Fault::KeyId(Excerpt::new(id))
        } else if ids.iter().any(|other| other == id) {
            Fault::DuplicateKeyId(Excerpt::new(id))
        } else {
            ids.push(id.to_owned());
            return Some(id.to_owned());
        };
        field.fault(fault);
        None
    });
    let file = section.optional("file", |field| field.file(context.base));
    section.finish();
    Some(SigningKeySettings { id: id?, file })
}

/// Whether `text` matches `^[a-z0-9][a-z0-9_-]{0,31}$`. An id is used in URLs and in a file name.
fn is_key_id(text: &str) -> bool {
    text.len() <= bounds::MAX_KEY_ID_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}
