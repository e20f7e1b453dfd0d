//! From settings to accounts.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use super::error::StartError;
use crate::auth::{AccountOptions, Accounts, RateLimits, ServerSecret, TotpMode};
use crate::clock::Clock;
use crate::config::settings::{self, AuthSettings};
use crate::repository::Repository;
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

/// Says which users have a name that the configuration gives to an organization, or a local repository: no such
/// organization can be made, and its members have no rights by it.
pub(super) async fn tell_taken_names(accounts: &Accounts, repositories: &[Repository]) {
    let names: BTreeSet<&str> = repositories.iter().flat_map(Repository::account_names).collect();
    for name in names {
        match accounts.user(name).await {
            Ok(None) => {}
            Ok(Some(user)) => tracing::warn!(
                user = user.name,
                "a user has a name that the configuration gives to an organization, which can therefore not be made: \
                 choose another `organization`, or another key for the repository"
            ),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "whether a user has the name of an organization could not be found out");
            }
        }
    }
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
