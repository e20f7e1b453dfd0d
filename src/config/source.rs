//! Loads a configuration from its source.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::compile::{self, Context};
use super::fault::Fault;
use super::problem::{ConfigError, Place, Problems};
use super::settings::Settings;
use super::tree::{self, Entry, Node, Value};
use super::{bounds, defaults, environment, warnings};

/// The source of a configuration.
#[derive(Clone, Debug)]
pub enum Source {
    /// A YAML file. Relative paths in it start at its folder.
    File(PathBuf),
    /// No file: all defaults, with paths relative to the working directory. The same as an empty file.
    Defaults,
    /// A text in memory.
    Text {
        /// The YAML text.
        text: String,
        /// Folder for relative paths.
        base_dir: PathBuf,
        /// Name of the source in problems.
        name: String,
    },
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Warnings about settings that may not be intended, for `check-config` and the log.
    pub advice: Vec<String>,
}

/// Loads `source`, with overrides and credentials from the environment variables `env`. `cwd` is the absolute working
/// directory.
///
/// This also opens the files that keys refer to, and reads public keys and credentials, so that the server can start
/// with any configuration that loads.
pub fn load(
    source: Source,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    cwd: &Path,
) -> Result<Loaded, ConfigError> {
    let problems = Problems::default();
    let variables = environment::utf8_only(env, &problems);
    let (name, base, text): (String, PathBuf, Option<String>) = match source {
        Source::File(path) => {
            let absolute = cwd.join(&path);
            let base = absolute.parent().map(Path::to_owned).unwrap_or_else(|| cwd.to_owned());
            (path.display().to_string(), base, read(&absolute, &problems))
        }
        Source::Defaults => ("built-in defaults".to_owned(), cwd.to_owned(), Some(String::new())),
        Source::Text { text, base_dir, name } => (name, cwd.join(base_dir), Some(text)),
    };
    // Normalize the path, so that `./x` and `x` are the same, also for default values.
    let base: PathBuf = base.components().collect();
    let root = text.and_then(|text| tree::parse(&text, &problems));
    let settings = root.map(|mut root| {
        add_default_repositories(&mut root, &problems);
        environment::apply(&mut root, variables.iter().map(|(name, value)| (name.as_str(), value.as_str())), &problems);
        compile::settings(&root, Context { base: &base, variables: &variables }, &problems)
    });
    match (settings, problems.into_error(&name)) {
        (Some(settings), None) => Ok(Loaded { advice: warnings::advice(&settings), settings }),
        (_, Some(error)) => Err(error),
        // Not reachable: without settings there is always a problem.
        (None, None) => Err(ConfigError { source_name: name, problems: Vec::new() }),
    }
}

/// Reads the text of a file of at most [`bounds::MAX_TEXT_BYTES`]. One more byte is read to detect a longer file.
fn read(path: &Path, problems: &Problems) -> Option<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bounds::MAX_TEXT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let text = match read {
        Ok(_) if bytes.len() > bounds::MAX_TEXT_BYTES => Err(Fault::TextTooLong { max: bounds::MAX_TEXT_BYTES }),
        Ok(_) => String::from_utf8(bytes).map_err(|_| Fault::NotUtf8),
        Err(error) => Err(Fault::UnreadableConfig(error)),
    };
    text.map_err(|fault| problems.add("", &Place::Document, fault)).ok()
}

/// Adds the default repository hexpm if no repository is configured, so that overrides can change it.
fn add_default_repositories(root: &mut Node, problems: &Problems) {
    if root.is_null() {
        *root = Node::empty_table(root.place.clone());
    }
    let Value::Table(entries) = &mut root.value else { return };
    let Some(mut value) = tree::parse(defaults::REPOSITORIES, problems) else { return };
    value.set_place(&Place::Document);
    match entries.iter_mut().find(|entry| entry.key == "repositories") {
        Some(entry) if entry.value.is_null() => entry.value = value,
        Some(_) => {}
        None => entries.push(Entry { key: "repositories".to_owned(), place: Place::Document, value }),
    }
}
