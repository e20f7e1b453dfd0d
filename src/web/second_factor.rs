//! `/ui/second-factor`: the page at which a user sets a second factor up, or turns it off.

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, not_let_in, page};
use super::pages::Visit;
use crate::auth::{ManageError, TotpMode, TotpSetup};
use crate::secret::Secret;

/// The page for a form's fields.
pub(super) async fn second_factor(visit: &Visit) -> Page {
    let (accounts, address) = (&visit.accounts, visit.client);
    let field = |name: &str| visit.field(name);
    if accounts.options().totp == TotpMode::Off {
        return page(StatusCode::NOT_FOUND, &html! { p { "This server asks for no second factor." } });
    }
    if !visit.is_sent {
        return page(StatusCode::OK, &begin("", None));
    }
    let otp = Some(field("otp")).filter(|otp| !otp.is_empty());
    let user = match accounts.login(field("username"), field("password"), otp, (address, None)).await {
        Ok(user) => user,
        Err(error) => {
            let (status, why) = not_let_in(&error);
            return page(status, &begin(field("username"), Some(&why)));
        }
    };
    let (name, by) = (user.user().unwrap_or_default(), user.by());
    let done = match field("step") {
        "off" => accounts.disable_totp(name, &by).await.map(|()| html! { p { "The second factor is off." } }),
        "confirm" => accounts.confirm_totp(name, field("code"), &by).await.map(|codes| recovery(&codes)),
        _ => accounts.begin_totp(name, &visit.public_url).await.map(|setup| confirm(name, &setup)),
    };
    match done {
        Ok(content) => page(StatusCode::OK, &content),
        Err(error @ ManageError::WrongCode) => {
            let why = format!("Nothing was changed: {error}. Begin once more.");
            page(StatusCode::FORBIDDEN, &begin(name, Some(&why)))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a second factor was not set up");
            page(StatusCode::INTERNAL_SERVER_ERROR, &begin(name, Some("Something failed; the server's log says what.")))
        }
    }
}

fn who(username: &str) -> Markup {
    html! {
        label for="username" { "User name" }
        input #username name="username" value=(username) autocomplete="username";
        label for="password" { "Password" }
        input #password type="password" name="password" autocomplete="current-password";
        label for="otp" { "Code of the second factor that you have now, if you have one" }
        input #otp name="otp" inputmode="numeric" autocomplete="one-time-code";
    }
}

fn begin(username: &str, fault: Option<&str>) -> Markup {
    html! {
        p { "A second factor is asked for beside your password." }
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="post" {
            (who(username))
            button name="step" value="begin" { "Set it up" }
            " "
            button name="step" value="off" { "Turn it off" }
        }
    }
}

fn confirm(username: &str, setup: &TotpSetup) -> Markup {
    html! {
        p { "Put this secret into the app that makes codes: " code { (setup.secret.expose()) } }
        p { a href=(setup.url.expose()) { "Open it in an app on this device" } }
        p { "Then confirm it with a code. It is off until then." }
        form method="post" {
            (who(username))
            label for="code" { "Code that the app shows for the new secret" }
            input #code name="code" inputmode="numeric" autocomplete="off";
            button name="step" value="confirm" { "Turn it on" }
        }
    }
}

fn recovery(codes: &[Secret]) -> Markup {
    html! {
        p { "The second factor is on. Each of these codes lets you in once without it; they are shown this once:" }
        ul { @for code in codes { li { code { (code.expose()) } } } }
    }
}
