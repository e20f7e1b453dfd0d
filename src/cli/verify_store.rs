//! `hexkeep verify-store`

use super::CommandError;
use super::job::run_job;
use crate::config::Source;
use crate::operations::jobs::Job;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove damaged files, so that they are downloaded again at the next request
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(args: &Args, source: Source) -> Result<(), CommandError> {
    run_job(Job::VerifyStore { repair: args.repair }, source)
}
