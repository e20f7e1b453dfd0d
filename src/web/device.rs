//! `/oauth/device`: the page on which a user approves or denies `mix hex.user auth` (OAuth device flow, RFC 8628 §3.3).

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, login_failed, page};
use super::pages::Visit;
use crate::auth::devices::{DeviceError, DeviceRequest};
use crate::auth::{Permission, Permissions};

/// Handles the page: asks for the user code, shows the request, and stores the user's decision.
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
        let why = "No permission is selected. Select at least one permission, or deny the request.";
        let again = confirm(&request, &checked, field("username"), Some(why));
        return page(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let otp = Some(field("otp")).filter(|otp| !otp.is_empty());
    let user = match accounts.login(field("username"), field("password"), otp, (address, None)).await {
        Ok(user) => user,
        Err(error) => {
            let (status, why) = login_failed(&error);
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
            &html! { p { "Access granted. The program keeps the selected permissions until you log it out. You can close this page and go back to your terminal." } },
        ),
        (Ok(()), false) => page(StatusCode::OK, &html! { p { "Access denied." } }),
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
            label for="user_code" { "Code shown in your terminal" }
            input #user_code name="user_code" autocomplete="off" autofocus;
            button { "Continue" }
        }
    }
}

/// The name of a permission's checkbox.
fn field_of(right: &Permission) -> String {
    format!("right {right}")
}

/// The description of a permission for the user who grants it.
fn sentence(right: &Permission) -> String {
    match right {
        Permission::Api => {
            "Full access to this server's API: both permissions below, and permission to create and revoke keys in your name. A key that the program creates stays valid after you log the program out."
                .to_owned()
        }
        Permission::ApiRead => "Read your account, your organizations, and the packages that you can read.".to_owned(),
        Permission::ApiWrite => {
            "Make changes in your name: publish and retire packages, and change owners and members. This includes reading them."
                .to_owned()
        }
        Permission::Package(None) => "Publish and change every package that you can change.".to_owned(),
        Permission::Package(Some(package)) => format!("Publish and change the package {package}."),
        Permission::Repositories => "Download packages from every repository that you can read.".to_owned(),
        Permission::Repository(place) => match place.split_once('/') {
            Some((repository, pattern)) => {
                format!("Download packages whose names match {pattern} from the repository {repository}.")
            }
            None => format!("Download packages from the repository {place}."),
        },
        Permission::Docs(place) => format!("Download documentation from the repository {place}."),
        Permission::PolicyWrite => "Pin releases and make exceptions to policies.".to_owned(),
    }
}

fn confirm(request: &DeviceRequest, checked: &[Permission], username: &str, fault: Option<&str>) -> Markup {
    let (first, last) = request.user_code.split_at_checked(request.user_code.len() / 2).unwrap_or_default();
    html! {
        p { "A program requests access to this server in your name. Grant access only if you started the program yourself." }
        dl {
            dt { "Code (must match the code in your terminal)" }
            dd { code { (first) "-" (last) } }
            @if let Some(name) = &request.name {
                dt { "Name (reported by the program)" }
                dd.said { bdi { (name) } }
            }
            dt { "Type (reported by the program)" }
            dd { (request.client) }
            @if let Some(address) = request.address {
                dt { "IP address of the program" }
                dd { (address) }
            }
        }
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="post" {
            input type="hidden" name="user_code" value=(request.user_code);
            fieldset {
                legend { "Grant these permissions:" }
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
            label for="otp" { "Two-factor code, if your account has a second factor" }
            input #otp name="otp" inputmode="numeric" autocomplete="one-time-code";
            button name="decision" value="approve" { "Grant access" }
            " "
            button name="decision" value="deny" { "Deny access" }
        }
    }
}
