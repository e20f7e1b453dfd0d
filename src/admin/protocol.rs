//! The protocol of the administration socket: JSON objects, separated by newlines.

use serde::{Deserialize, Serialize};

use crate::operations::outcome::CommandOutcome;
use crate::tasks::report::Event;

/// One line of the answer to `POST /jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Progress of the job.
    Event(Event),
    /// The result of the job.
    Outcome(CommandOutcome),
    /// The error that ended the job.
    Failure(String),
}
