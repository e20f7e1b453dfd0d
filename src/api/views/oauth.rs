//! JSON of OAuth answers (RFC 6749, RFC 8628).

use serde_json::{Value, json};

use super::with_some;
use crate::auth::devices::DeviceAuthorization;
use crate::auth::oauth::TokenResponse;

/// An error in the form of RFC 6749 (§5.2).
pub(in crate::api) fn refused(error: &str, description: &str) -> Value {
    json!({"error": error, "error_description": description})
}

/// A device authorization; the user approves it at `page`.
pub(in crate::api) fn device(device: &DeviceAuthorization, page: &str) -> Value {
    json!({
        "device_code": device.device_code.expose(),
        "user_code": device.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", device.user_code),
        "expires_in": device.expires_in,
        "interval": device.interval,
    })
}

/// An access token.
pub(in crate::api) fn token(token: &TokenResponse) -> Value {
    let value = json!({
        "access_token": token.access_token.expose(),
        "token_type": "bearer",
        "expires_in": token.expires_in,
        "scope": token.scope,
    });
    with_some(value, "refresh_token", token.refresh_token.as_ref().map(|refresh| refresh.expose()))
}
