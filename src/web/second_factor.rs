//! `/ui/second-factor`: the page on which a user sets up or disables a second factor.

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, login_failed, page};
use super::pages::Visit;
use crate::auth::{ManageError, TotpMode, TotpSetup};
use crate::secret::Secret;

/// Handles the page: logs the user in, then starts, confirms or disables the second factor.
pub(super) async fn second_factor(visit: &Visit) -> Page {
    let (accounts, address) = (&visit.accounts, visit.client);
    let field = |name: &str| visit.field(name);
    if accounts.options().totp == TotpMode::Off {
        return page(StatusCode::NOT_FOUND, &html! { p { "Second factors are disabled on this server." } });
    }
    if !visit.is_sent {
        return page(StatusCode::OK, &begin("", None));
    }
    let otp = Some(field("otp")).filter(|otp| !otp.is_empty());
    let user = match accounts.login(field("username"), field("password"), otp, (address, None)).await {
        Ok(user) => user,
        Err(error) => {
            let (status, why) = login_failed(&error);
            return page(status, &begin(field("username"), Some(&why)));
        }
    };
    let (name, by) = (user.user().unwrap_or_default(), user.by());
    let done = match field("step") {
        "off" => accounts.disable_totp(name, &by).await.map(|()| html! { p { "The second factor is disabled." } }),
        "confirm" => accounts.confirm_totp(name, field("code"), &by).await.map(|codes| recovery(&codes)),
        _ => accounts.begin_totp(name, &visit.public_url).await.map(|setup| confirm(name, &setup)),
    };
    match done {
        Ok(content) => page(StatusCode::OK, &content),
        Err(error @ ManageError::WrongCode) => {
            let why = format!("Nothing was changed: {error}. Start again.");
            page(StatusCode::FORBIDDEN, &begin(name, Some(&why)))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot change the second factor of an account");
            page(
                StatusCode::INTERNAL_SERVER_ERROR,
                &begin(name, Some("Internal error: the server's log contains the details.")),
            )
        }
    }
}

fn who(username: &str) -> Markup {
    html! {
        label for="username" { "User name" }
        input #username name="username" value=(username) autocomplete="username";
        label for="password" { "Password" }
        input #password type="password" name="password" autocomplete="current-password";
        label for="otp" { "Code of your current second factor, if you have one" }
        input #otp name="otp" inputmode="numeric" autocomplete="one-time-code";
    }
}

fn begin(username: &str, fault: Option<&str>) -> Markup {
    html! {
        p { "With a second factor, each login needs your password and a code from an authenticator app." }
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="post" {
            (who(username))
            button name="step" value="begin" { "Set up" }
            " "
            button name="step" value="off" { "Disable" }
        }
    }
}

fn confirm(username: &str, setup: &TotpSetup) -> Markup {
    html! {
        p { "Enter this secret in your authenticator app: " code { (setup.secret.expose()) } }
        p { a href=(setup.url.expose()) { "Open in an authenticator app on this device" } }
        p { "Then confirm it with a code from the app. The second factor is disabled until then." }
        form method="post" {
            (who(username))
            label for="code" { "Code that the app shows for the new secret" }
            input #code name="code" inputmode="numeric" autocomplete="off";
            button name="step" value="confirm" { "Enable" }
        }
    }
}

fn recovery(codes: &[Secret]) -> Markup {
    html! {
        p { "The second factor is enabled. Keep these recovery codes: each replaces the second factor for one login. They are shown only once:" }
        ul { @for code in codes { li { code { (code.expose()) } } } }
    }
}
