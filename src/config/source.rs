//! Loading: where a configuration comes from, and the way from there to settings.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::compile::{self, Context};
use super::fault::Fault;
use super::problem::{ConfigError, Place, Problems};
use super::settings::Settings;
use super::tree::{self, Entry, Node, Value};
use super::{bounds, defaults, environment, warnings};

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A YAML file; relative paths in it begin at its folder.
    File(PathBuf),
    /// No file: every default, relative to the working directory. The same as an empty document.
    Defaults,
    /// A text at hand.
    Text {
        /// YAML.
        text: String,
        /// Where relative paths begin.
        base_dir: PathBuf,
        /// What problems call it.
        name: String,
    },
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub settings: Settings,
    /// What is allowed and perhaps not meant, one sentence each; for `check-config` and the log.
    pub advice: Vec<String>,
}

/// Reads `source`, with overrides and credentials from the variables `env`; `cwd` is the working directory, absolute.
///
/// Files that keys refer to are opened here, and keys and credentials read from them, so that what loads can be started.
pub fn load(
    source: Source,
    env: impl IntoIterator<Item = (String, String)>,
    cwd: &Path,
) -> Result<Loaded, ConfigError> {
    let variables: BTreeMap<String, String> = env.into_iter().collect();
    let problems = Problems::default();
    let (name, base, text): (String, PathBuf, Option<String>) = match source {
        Source::File(path) => {
            let absolute = cwd.join(&path);
            let base = absolute.parent().map(Path::to_owned).unwrap_or_else(|| cwd.to_owned());
            (path.display().to_string(), base, read(&absolute, &problems))
        }
        Source::Defaults => ("built-in defaults".to_owned(), cwd.to_owned(), Some(String::new())),
        Source::Text { text, base_dir, name } => (name, cwd.join(base_dir), Some(text)),
    };
    // `./x` and `x` are one path, also where only the default of a key is joined to it.
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
        // Reading hands back nothing only after a problem.
        (None, None) => Err(ConfigError { source_name: name, problems: Vec::new() }),
    }
}

/// The text of a file of at most [`bounds::MAX_TEXT_BYTES`] (one more is read, for the parser to refuse).
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

/// Where no repository is written, hexpm is there, so that an override can change it.
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
