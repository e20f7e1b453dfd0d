//! `/oauth/device`: the page at which a user lets `mix hex.user auth` in (RFC 8628 §3.3).

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, not_let_in, page};
use super::pages::Visit;
use crate::auth::devices::{DeviceError, DeviceRequest};
use crate::auth::{Permission, Permissions};

/// The page for a form's fields.
pub(super) async fn device(visit: &Visit) -> Page {
    let (accounts, address) = (&visit.accounts, visit.client);
    let field = |name: &str| visit.field(name);
    let code = field("user_code");
    if code.is_empty() {
        return page(StatusCode::OK, &enter(None));
    }
    let request = match accounts.device_request(code, address).await {
        Ok(request) => request,
        Err(error) => return page(status(&error), &enter(Some(&error.to_string()))),
    };
    if !visit.is_sent {
        return page(StatusCode::OK, &confirm(&request, &request.rights(), "", None));
    }
    let is_checked = |right: &Permission| visit.fields.contains_key(&field_of(right));
    let checked: Vec<Permission> = request.rights().into_iter().filter(is_checked).collect();
    let approves = field("decision") == "approve";
    if approves && checked.is_empty() {
        let why = "Nothing is checked, so nothing would be allowed. Check what it may do, or turn it away.";
        let again = confirm(&request, &checked, field("username"), Some(why));
        return page(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let otp = Some(field("otp")).filter(|otp| !otp.is_empty());
    let user = match accounts.login(field("username"), field("password"), otp, (address, None)).await {
        Ok(user) => user,
        Err(error) => {
            let (status, why) = not_let_in(&error);
            return page(status, &confirm(&request, &checked, field("username"), Some(&why)));
        }
    };
    let done = match approves {
        true => accounts.approve_device(code, &user, &Permissions::of(checked), address).await,
        false => accounts.deny_device(code, &user, address).await,
    };
    match (done, approves) {
        (Ok(()), true) => page(
            StatusCode::OK,
            &html! { p { "It is let in. It may do what you checked, until you log it out. You can close this page and go back to your terminal." } },
        ),
        (Ok(()), false) => page(StatusCode::OK, &html! { p { "It is turned away." } }),
        (Err(error), _) => page(status(&error), &enter(Some(&error.to_string()))),
    }
}

fn status(error: &DeviceError) -> StatusCode {
    match error {
        DeviceError::Unknown => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    }
}

fn enter(fault: Option<&str>) -> Markup {
    html! {
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="get" {
            label for="user_code" { "The code that your terminal shows" }
            input #user_code name="user_code" autocomplete="off" autofocus;
            button { "Go on" }
        }
    }
}

/// The name of a right's checkbox.
fn field_of(right: &Permission) -> String {
    format!("right {right}")
}

/// What a right means to the user who grants it.
fn sentence(right: &Permission) -> String {
    match right {
        Permission::Api => {
            "Do everything that you may do on this server's API: what the next two say, and also make and revoke keys in \
             your name. A key that it makes stays good after you log the program out."
                .to_owned()
        }
        Permission::ApiRead => "See your account, your organizations, and the packages that you may see.".to_owned(),
        Permission::ApiWrite => {
            "Change in your name: publish and retire packages, and change owners and members. This includes seeing them."
                .to_owned()
        }
        Permission::Package(None) => "Publish and change all packages that you may change.".to_owned(),
        Permission::Package(Some(package)) => format!("Publish and change the package {package}."),
        Permission::Repositories => "Download packages from every repository that you may read.".to_owned(),
        Permission::Repository(place) => match place.split_once('/') {
            Some((repository, pattern)) => {
                format!("Download packages whose names match {pattern} from the repository {repository}.")
            }
            None => format!("Download packages from the repository {place}."),
        },
        Permission::Docs(place) => format!("Download documentation from the repository {place}."),
        Permission::PolicyWrite => "Pin releases and make exceptions from policies.".to_owned(),
    }
}

fn confirm(request: &DeviceRequest, checked: &[Permission], username: &str, fault: Option<&str>) -> Markup {
    let (first, last) = request.user_code.split_at_checked(request.user_code.len() / 2).unwrap_or_default();
    html! {
        p { "A program asks to act in your name on this server. Let it in only if you have started it yourself." }
        dl {
            dt { "Code: it must be the one in your terminal" }
            dd { code { (first) "-" (last) } }
            @if let Some(name) = &request.name {
                dt { "Name, says the program" }
                dd.said { bdi { (name) } }
            }
            dt { "Kind, says the program" }
            dd { (request.client) }
            @if let Some(address) = request.address {
                dt { "Network address from which it asked" }
                dd { (address) }
            }
        }
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="post" {
            input type="hidden" name="user_code" value=(request.user_code);
            fieldset {
                legend { "It may do what is checked, and nothing else:" }
                @for right in request.rights() {
                    label.right {
                        input type="checkbox" name=(field_of(&right)) value="yes" checked[checked.contains(&right)];
                        " " (sentence(&right))
                    }
                }
            }
            label for="username" { "User name" }
            input #username name="username" value=(username) autocomplete="username";
            label for="password" { "Password" }
            input #password type="password" name="password" autocomplete="current-password";
            label for="otp" { "Code of the second factor, if you have one" }
            input #otp name="otp" inputmode="numeric" autocomplete="one-time-code";
            button name="decision" value="approve" { "Let it in" }
            " "
            button name="decision" value="deny" { "Turn it away" }
        }
    }
}
