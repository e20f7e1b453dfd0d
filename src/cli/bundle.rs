//! `hexkeep bundle`

use std::path::{Path, PathBuf};

use super::job::run_job;
use super::{CommandError, TerminalError, prefetch};
use crate::config::Source;
use crate::operations::jobs::{BundleJob as Asked, CreateBundle, Job};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Bundle {
    /// Create a bundle of the releases in lock files, with the signatures and checksums to verify them
    Create(Create),
    /// Verify a bundle without importing it
    Verify(BundleFile),
    /// Import a bundle; imports nothing if any part of it fails verification
    Import(BundleFile),
    /// Print the fingerprint of the key that this server signs bundles with
    Key,
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    #[command(flatten)]
    wanted: prefetch::Args,
    /// Include the cached installers of Hex, rebar3, Elixir and Erlang
    #[arg(long)]
    installers: bool,
    /// Leave out files that this earlier bundle contains
    #[arg(long, value_name = "BUNDLE")]
    since: Option<PathBuf>,
    /// Bundle file to create
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct BundleFile {
    /// Bundle file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also trust bundles that are signed by the key with this fingerprint, in addition to bundles.trusted_keys
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
    run_job(Job::Bundle(asked), source)
}

/// An absolute path, because the daemon may run in another working directory.
fn absolute(file: &Path) -> Result<PathBuf, TerminalError> {
    std::path::absolute(file).map_err(|why| TerminalError::Path { path: file.to_path_buf(), why })
}
