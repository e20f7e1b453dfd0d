//! `hexkeep check-config`

use std::path::PathBuf;

use super::{CommandError, load, print};
use crate::config::Source;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File to check; without it, the file that `serve` would use
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let source = args.file.map_or(source, Source::File);
    let loaded = load(source)?;
    let count = loaded.settings.repositories.len();
    let repositories = if count == 1 { "1 repository".to_owned() } else { format!("{count} repositories") };
    print(&format!(
        "the configuration is valid: {repositories}, default repository `{}`",
        loaded.settings.default_repository
    ))?;
    for sentence in loaded.advice {
        print(&format!("note: {sentence}"))?;
    }
    Ok(())
}
