//! `hexkeep verify-store`

use tokio::sync::mpsc;

use super::progress::Progress;
use super::store::{Access, access};
use super::{CommandError, block_on, load, print, say};
use crate::admin::Operations as _;
use crate::admin::protocol::Report;
use crate::config::Source;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove what is damaged, to be fetched again when it is wanted
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(args: &Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let bar = Progress::new();
    let report = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.verify_store(args.repair, |event| bar.show(event)).await,
            Access::AtRest(core) => {
                let (sender, events) = mpsc::channel(64);
                let (report, ()) = tokio::join!(core.verify_store(args.repair, sender), bar.watch(events));
                core.close().await;
                report
            }
        }
        .map_err(CommandError::Failure)
    })??;
    bar.end();
    conclude(&report)
}

fn conclude(report: &Report) -> Result<(), CommandError> {
    let found = &report.findings;
    print(&format!(
        "{} resources and {} files are sound; {} damaged, {} out of place, {} removed",
        found.resources, found.blobs, found.damaged, found.strangers, found.removed
    ));
    if found.local + found.lost > 0 {
        print(&format!("{} files of local repositories are sound; {} are missing or damaged", found.local, found.lost));
    }
    if found.unknown > 0 {
        print(&format!("{} resources belong to repositories that are not configured: left alone", found.unknown));
    }
    for line in &report.database {
        print(&format!("database: {line}"));
    }
    if report.is_sound() {
        return Ok(());
    }
    if found.lost > 0 {
        say(
            "hexkeep: files of local repositories are missing or damaged; there is no other copy here, so --repair leaves \
             them alone: restore local/blobs from a backup, or publish the same tarball again",
        );
    }
    if found.is_sound() {
        say("hexkeep: the database is damaged; restore state.sqlite from a backup");
    } else if found.damaged + found.strangers > found.removed {
        say("hexkeep: the store is damaged; --repair removes what is, and it is fetched again when it is wanted");
    }
    Err(CommandError::Said)
}
