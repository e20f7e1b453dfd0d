//! `hexkeep verify-store`

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print, say};
use crate::admin::Operations as _;
use crate::admin::protocol::{Event, Report};
use crate::config::Source;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove what is damaged, to be fetched again when it is wanted
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(args: &Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let report = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.verify_store(args.repair, |event| show(&bar, event)).await,
            Access::AtRest(core) => {
                let (sender, mut events) = mpsc::channel(64);
                let watch = async {
                    while let Some(event) = events.recv().await {
                        show(&bar, event);
                    }
                };
                let (report, ()) = tokio::join!(core.verify_store(args.repair, sender), watch);
                core.close().await;
                report
            }
        }
        .map_err(CommandError::Failure)
    })??;
    bar.finish_and_clear();
    conclude(&report)
}

fn show(bar: &ProgressBar, event: Event) {
    match event {
        Event::Total(total) => bar.set_length(total),
        Event::Done(done) => bar.set_position(done),
        Event::Damaged(subject) => bar.suspend(|| say(&format!("damaged: {subject}"))),
    }
}

fn conclude(report: &Report) -> Result<(), CommandError> {
    let found = &report.findings;
    print(&format!(
        "{} resources and {} files are sound; {} damaged, {} out of place, {} removed",
        found.resources, found.blobs, found.damaged, found.strangers, found.removed
    ));
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
        say(&format!(
            "hexkeep: {} files of local repositories are missing or damaged, and there is no other copy: restore \
             local/blobs in the storage path from a backup",
            found.lost
        ));
    } else if found.is_sound() {
        say("hexkeep: the database is damaged; restore state.sqlite from a backup");
    } else {
        say("hexkeep: the store is damaged; --repair removes what is, and it is fetched again when it is wanted");
    }
    Err(CommandError::Said)
}
