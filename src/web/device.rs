//! `/oauth/device`: the page at which a user lets `mix hex.user auth` in (RFC 8628 §3.3).

use std::collections::HashMap;
use std::net::IpAddr;

use http::StatusCode;
use maud::{Markup, html};

use super::page::{Page, not_let_in, page};
use crate::auth::Accounts;
use crate::auth::devices::{DeviceError, DeviceRequest};

/// The page for a form's fields: those of the address, and where the form was sent those of its body.
pub async fn device(accounts: &Accounts, fields: &HashMap<String, String>, sent: bool, address: IpAddr) -> Page {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let code = field("user_code");
    if code.is_empty() {
        return page(StatusCode::OK, &enter(None));
    }
    let request = match accounts.device_request(code, address).await {
        Ok(request) => request,
        Err(error) => return page(status(&error), &enter(Some(&error.to_string()))),
    };
    if !sent {
        return page(StatusCode::OK, &confirm(&request, "", None));
    }
    let otp = Some(field("otp")).filter(|otp| !otp.is_empty());
    let user = match accounts.login(field("username"), field("password"), otp, (address, None)).await {
        Ok(user) => user,
        Err(error) => {
            let (status, why) = not_let_in(&error);
            return page(status, &confirm(&request, field("username"), Some(&why)));
        }
    };
    let done = match field("decision") {
        "approve" => accounts.approve_device(code, &user, &request.permissions, address).await.map(|()| true),
        _ => accounts.deny_device(code, &user, address).await.map(|()| false),
    };
    match done {
        Ok(true) => {
            page(StatusCode::OK, &html! { p { "It is let in. You can close this page and go back to your terminal." } })
        }
        Ok(false) => page(StatusCode::OK, &html! { p { "It is turned away." } }),
        Err(error) => page(status(&error), &enter(Some(&error.to_string()))),
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

fn confirm(request: &DeviceRequest, username: &str, fault: Option<&str>) -> Markup {
    let (first, last) = request.user_code.split_at_checked(request.user_code.len() / 2).unwrap_or_default();
    html! {
        p { strong { (request.client) } " asks to be let in"
            @if let Some(name) = &request.name { " as " strong { (name) } }
            @if let Some(address) = request.address { ", from " (address) }
            "." }
        p { "Compare the code with the one in your terminal: " code { (first) "-" (last) } }
        p { "It wants to: " (request.permissions.scope()) }
        @if let Some(fault) = fault { p.fault { (fault) } }
        form method="post" {
            input type="hidden" name="user_code" value=(request.user_code);
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
