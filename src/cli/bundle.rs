//! `hexkeep bundle`

use std::path::{Path, PathBuf};

use super::job::give;
use super::{CommandError, TerminalError, prefetch};
use crate::config::Source;
use crate::operations::jobs::{BundleJob as Asked, CreateBundle, Job};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Bundle {
    /// Put what lock files name into one file, with what proves it
    Create(Create),
    /// Prove a bundle, from its first byte to its last; nothing is taken in
    Verify(Given),
    /// Take in a bundle: all of it, or nothing where anything in it does not verify
    Import(Given),
    /// Print the fingerprint of the key that signs the bundles of this server
    Key,
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    #[command(flatten)]
    wanted: prefetch::Args,
    /// The installers of Hex, rebar3, Elixir and Erlang that are here, too
    #[arg(long)]
    installers: bool,
    /// Leave out the files that this bundle has
    #[arg(long, value_name = "BUNDLE")]
    since: Option<PathBuf>,
    /// The new file
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Fingerprint of the key that has signed it; else one of bundles.trusted_keys
    #[arg(long, value_name = "FINGERPRINT")]
    trust: Option<String>,
}

pub(super) fn run(bundle: Bundle, source: Source) -> Result<(), CommandError> {
    let asked = match bundle {
        Bundle::Create(create) => Asked::Create(CreateBundle {
            wanted: create.wanted.read()?,
            installers: create.installers,
            since: create.since.as_deref().map(absolute).transpose()?,
            file: absolute(&create.output)?,
        }),
        Bundle::Verify(given) => Asked::Verify { file: absolute(&given.file)?, trust: given.trust },
        Bundle::Import(given) => Asked::Import { file: absolute(&given.file)?, trust: given.trust },
        Bundle::Key => Asked::Key,
    };
    give(Job::Bundle(asked), source)
}

/// A daemon does not stand where this command does.
fn absolute(file: &Path) -> Result<PathBuf, TerminalError> {
    std::path::absolute(file).map_err(|why| TerminalError::Path { path: file.to_path_buf(), why })
}
