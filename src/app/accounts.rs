//! From settings to accounts.

use std::fs;
use std::sync::Arc;

use super::build::StartError;
use crate::auth::{AccountOptions, Accounts, RateLimits, ServerSecret, TotpMode};
use crate::clock::Clock;
use crate::config::settings::{self, AuthSettings};
use crate::state::State;
use crate::store::Store;

/// The file of the server secret below the storage path.
const SECRET: &str = "keys/auth.secret";

/// The secret of this store, made where there is none. Blocks.
pub(super) fn secret(store: &Store) -> Result<ServerSecret, StartError> {
    let path = store.root().join(SECRET);
    let fault = |why: String| StartError::Secret { path: path.clone(), why };
    match fs::read_to_string(&path) {
        Ok(text) => ServerSecret::from_text(&text).map_err(|error| fault(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = ServerSecret::generate().map_err(|error| fault(error.to_string()))?;
            store.write_own(SECRET, secret.to_text().expose().as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(fault(error.to_string())),
    }
}

/// The accounts of a store, as they are configured.
pub(super) fn accounts(
    settings: &AuthSettings,
    state: State,
    secret: ServerSecret,
    clock: Arc<dyn Clock>,
) -> Arc<Accounts> {
    let options = AccountOptions {
        sign_up: settings.sign_up,
        basic: settings.basic,
        totp: match settings.totp {
            settings::TotpMode::Off => TotpMode::Off,
            settings::TotpMode::Optional => TotpMode::Optional,
            settings::TotpMode::Required => TotpMode::Required,
        },
        rates: rates(settings),
        ..AccountOptions::default()
    };
    Accounts::new(state, secret, options, clock)
}

/// How many requests are answered.
pub(super) fn rates(settings: &AuthSettings) -> RateLimits {
    let limit = |number| u32::try_from(number).unwrap_or(u32::MAX);
    RateLimits {
        account: limit(settings.rate_limits.per_account),
        anonymous: limit(settings.rate_limits.per_address),
        failures: limit(settings.rate_limits.failed_logins),
    }
}
