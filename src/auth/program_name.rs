//! The name that a program reports for itself. Pure.

use crate::display_text::shown;
use crate::hex::limits;

/// The name as it is stored and shown: shortened, without characters that could deceive a reader.
pub(super) fn display_name(text: &str) -> String {
    let begin: String = text.chars().take(limits::PROGRAM_NAME).collect();
    let rest = if begin.len() < text.len() { "…" } else { "" };
    format!("{}{rest}", shown(&begin))
}
