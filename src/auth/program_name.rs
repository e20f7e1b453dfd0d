//! What a program calls itself. Pure.

use crate::display_text::shown;
use crate::hex::limits;

/// What a client calls itself, as it is stored and shown: short as well.
pub(super) fn said(text: &str) -> String {
    let begin: String = text.chars().take(limits::PROGRAM_NAME).collect();
    let rest = if begin.len() < text.len() { "…" } else { "" };
    format!("{}{rest}", shown(&begin))
}
