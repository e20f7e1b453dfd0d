//! What goes over the administration socket: JSON objects, one a line where there are several.

use serde::{Deserialize, Serialize};

use crate::operations::outcome::CommandOutcome;
use crate::tasks::report::Event;

/// One line of the answer to `POST /jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// Something on the way.
    Event(Event),
    /// The end.
    Outcome(CommandOutcome),
    /// The end, before anything came of it.
    Failure(String),
}
