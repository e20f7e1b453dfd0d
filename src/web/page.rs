//! The HTML layout that all pages share, and the error text for a failed login.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::auth::AuthError;

/// An HTML page and its HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// HTML.
    pub html: String,
}

pub(super) fn page(status: StatusCode, content: &Markup) -> Page {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "hexkeep" }
                style { "body{font:1rem/1.5 sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}label,input{display:block;width:100%;box-sizing:border-box}input{margin:0 0 1rem;padding:.5rem}.fault{color:#a00}code{font-size:1.2rem}dt{color:#555}dd{margin:0 0 .75rem}.said{border-left:3px solid #999;padding-left:.5rem;overflow:hidden;overflow-wrap:anywhere}fieldset{margin:0 0 1rem}.right{margin:.5rem 0}.right input{display:inline;width:auto;margin:0}" }
            }
            body { h1 { "hexkeep" } (content) }
        }
    };
    Page { status, html: html.into_string() }
}

/// The text for a failed login: wrong name, password or two-factor code.
const NOT_RIGHT: &str = "The user name, the password or the two-factor code is wrong, or the code is missing. An account with a second factor \
                         needs a new code for each login; after five wrong codes, wait ten minutes.";

/// The status and the text for a user whose login failed.
pub(super) fn login_failed(error: &AuthError) -> (StatusCode, String) {
    match error {
        AuthError::State(_) | AuthError::Machine => (StatusCode::INTERNAL_SERVER_ERROR, error.message()),
        // One text for all of these errors: a different text for each would help an attacker guess the password.
        AuthError::WrongPassword | AuthError::CodeMissing | AuthError::CodeWrong | AuthError::CodesExhausted => {
            (StatusCode::FORBIDDEN, NOT_RIGHT.to_owned())
        }
        other => (StatusCode::FORBIDDEN, other.message()),
    }
}
