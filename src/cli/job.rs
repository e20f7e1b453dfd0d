//! Runs long operations with a progress bar, in the daemon or on the store directly.

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print_outcome, print_stderr};
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::jobs::Job;
use crate::operations::outcome::CommandOutcome;
use crate::tasks::report::{Event, Reporter};

/// Runs `job` in the daemon if one is running, otherwise on the store directly, and prints the result.
pub(super) fn run_job(job: Job, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let bar = bar();
    let outcome: CommandOutcome = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => Ok(daemon.work(&job, |event| show(&bar, event)).await?),
            Access::Direct(core) => {
                let (report, events) = Reporter::new();
                let (outcome, ()) = tokio::join!(core.work(job, report), watch(&bar, events));
                core.close().await;
                Ok::<_, CommandError>(outcome?)
            }
        }
    })??;
    finish(&bar, &outcome)
}

/// Runs an operation that needs no open store, and prints the result.
pub(super) fn run_without_store<F>(work: impl FnOnce(Reporter) -> F) -> Result<(), CommandError>
where
    F: Future<Output = Result<CommandOutcome, CommandError>>,
{
    let bar = bar();
    let outcome = block_on(async {
        let (report, events) = Reporter::new();
        tokio::join!(work(report), watch(&bar, events)).0
    })??;
    finish(&bar, &outcome)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {eta}") {
        bar.set_style(style);
    }
    bar
}

async fn watch(bar: &ProgressBar, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        show(bar, event);
    }
}

fn finish(bar: &ProgressBar, outcome: &CommandOutcome) -> Result<(), CommandError> {
    bar.finish_and_clear();
    print_outcome(&outcome.text())
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
        Event::Said(line) => bar.suspend(|| print_stderr(&line)),
    }
}
