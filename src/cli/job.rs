//! Work that takes a while: given to whoever has the store, with a bar that moves.

use indicatif::{ProgressBar, ProgressStyle};

use super::store::{Access, access};
use super::{CommandError, block_on, load, print, say};
use crate::admin::Operations as _;
use crate::admin::commands::Outcome;
use crate::admin::protocol::Job;
use crate::config::Source;
use crate::tasks::report::{Event, Reporter};

/// Has the running daemon do the work, or does it on the store at rest, and prints what came of it.
pub(super) fn give(job: Job, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let bar = ProgressBar::new(0);
    let style = "{bar:40} {pos}/{len} {msg} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let outcome: Outcome = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.work(&job, |event| show(&bar, event)).await,
            Access::AtRest(core) => {
                let (report, mut events) = Reporter::new();
                let watch = async {
                    while let Some(event) = events.recv().await {
                        show(&bar, event);
                    }
                };
                let (outcome, ()) = tokio::join!(core.work(job, report), watch);
                core.close().await;
                outcome
            }
        }
        .map_err(CommandError::Failure)
    })??;
    bar.finish_and_clear();
    for line in &outcome.lines {
        print(line);
    }
    for remark in &outcome.remarks {
        say(remark);
    }
    if outcome.failed { Err(CommandError::Said) } else { Ok(()) }
}

fn show(bar: &ProgressBar, event: Event) {
    match event {
        Event::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            if progress.bytes > 0 {
                bar.set_message(indicatif::HumanBytes(progress.bytes).to_string());
            }
        }
        Event::Said(line) => bar.suspend(|| say(&line)),
    }
}
