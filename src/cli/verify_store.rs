//! `hexkeep verify-store`

use super::CommandError;
use super::job::give;
use crate::config::Source;
use crate::operations::jobs::Job;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove what is damaged, to be fetched again when it is wanted
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(args: &Args, source: Source) -> Result<(), CommandError> {
    give(Job::VerifyStore { repair: args.repair }, source)
}
