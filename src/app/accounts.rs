//! Builds the accounts from the settings.

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

/// The file of the server secret in the storage path.
const SECRET: &str = "keys/auth.secret";

/// Loads the server secret of the store, or generates it. Blocks.
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

/// Creates the accounts of a store with the options in `settings`.
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

/// Logs a warning for each user whose name the configuration uses for an organization or a local repository. Such an
/// organization cannot be created, so nobody can get access to the repository as its member.
pub(super) async fn warn_about_name_conflicts(accounts: &Accounts, repositories: &[Repository]) {
    let names: BTreeSet<&str> = repositories.iter().flat_map(Repository::account_names).collect();
    for name in names {
        match accounts.user(name).await {
            Ok(None) => {}
            Ok(Some(user)) => tracing::warn!(
                user = user.name,
                "the configuration uses the name of a user for an organization, so the organization cannot be created: set \
                 another `organization`, or another key for the repository"
            ),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not check whether a user has the name of an organization");
            }
        }
    }
}

/// The limits for the rate of requests.
pub(super) fn rates(settings: &AuthSettings) -> RateLimits {
    let limit = |number| u32::try_from(number).unwrap_or(u32::MAX);
    RateLimits {
        account: limit(settings.rate_limits.per_account),
        anonymous: limit(settings.rate_limits.per_address),
        failures: limit(settings.rate_limits.failed_logins),
    }
}
