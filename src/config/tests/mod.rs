//! Tests of the room as a whole: from a text and an environment to settings or problems.

mod mistakes;
mod policies;
mod random;
mod rules;
mod samples;
mod show_output;
mod virtuals;

use std::path::{Path, PathBuf};

use super::settings::{RemoteSettings, Settings};
use super::{ConfigError, Loaded, Source, load};

const BASE: &str = "/base";

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let source = Source::Text { text: text.to_owned(), base_dir: PathBuf::from(BASE), name: "t.yaml".to_owned() };
    load(source, environment(variables), Path::new(BASE))
}

fn environment(variables: &[(&str, &str)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// The settings, or a test that fails with the problems.
fn settings(text: &str) -> Settings {
    load_with(text, &[]).unwrap_or_else(|error| panic!("{text}\n{error}")).settings
}

/// The problems, or a test that fails for want of one.
fn problems(text: &str) -> String {
    match load_with(text, &[]) {
        Ok(loaded) => panic!("{text}\nloaded: {loaded:?}"),
        Err(error) => error.to_string(),
    }
}

/// Settings of the repository `acme`, which has `keys` beside type and URL, in a configuration that is otherwise right.
fn acme(keys: &str) -> String {
    format!(
        "repositories:\n  hexpm: {{type: remote, url: \"https://repo.hex.pm\"}}\n  acme: {{type: remote, {keys}}}\n"
    )
}

fn remote<'s>(settings: &'s Settings, key: &str) -> &'s RemoteSettings {
    let found = settings.repositories.get(key).and_then(|repository| repository.as_remote());
    found.unwrap_or_else(|| panic!("no remote {key}"))
}

/// Writes a file that a configuration refers to.
#[expect(clippy::disallowed_methods, reason = "a test's own folder; nothing has to survive a crash")]
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
