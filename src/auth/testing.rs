//! Test fixture: accounts in a temporary folder, with a manual clock.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::secret::Secret;
use crate::state::State;
use crate::state::audit::Actor;

pub(super) const PASSWORD: &str = "correct horse";

pub(super) struct Fixture {
    pub(super) accounts: Arc<Accounts>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) state: State,
    _folder: tempfile::TempDir,
}

pub(super) async fn fixture(options: AccountOptions) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path()).await.unwrap();
    // The start of a 30-second TOTP step and of a 15-minute window.
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_100)));
    let secret = ServerSecret::from_bytes([7; 32]);
    let accounts = Accounts::new(state.clone(), secret, options, Arc::clone(&clock) as _);
    Fixture { accounts, clock, state, _folder: folder }
}

pub(super) fn by() -> Actor {
    Actor::console()
}

pub(super) fn address() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

pub(super) fn scope(text: &str) -> Permissions {
    Permissions::from_scope(text).unwrap()
}

impl Fixture {
    /// The same accounts with other settings, as after a restart.
    pub(super) fn configure(&mut self, options: AccountOptions) {
        let secret = ServerSecret::from_bytes([7; 32]);
        self.accounts = Accounts::new(self.state.clone(), secret, options, Arc::clone(&self.clock) as _);
    }

    pub(super) async fn user(&self, name: &str) -> User {
        let new = NewUser {
            name: name.to_owned(),
            email: Some(format!("{name}@example.com")),
            password: Some(Secret::new(PASSWORD)),
            ..NewUser::default()
        };
        self.accounts.create_user(new, &by()).await.unwrap()
    }

    pub(super) async fn key(&self, owner: Owner, permissions: &str) -> String {
        let new = NewKey { owner, name: "ci".to_owned(), permissions: scope(permissions), revoke_at: None };
        self.accounts.create_key(new, None, &by()).await.unwrap().0.expose().to_owned()
    }

    pub(super) async fn ask(&self, header: &str, side: CredentialUse) -> Result<Caller, AuthError> {
        self.ask_with(header, None, side).await
    }

    pub(super) async fn ask_with(
        &self,
        header: &str,
        otp: Option<&str>,
        side: CredentialUse,
    ) -> Result<Caller, AuthError> {
        let presented =
            PresentedCredential { authorization: Some(header.as_bytes()), otp, address: address(), agent: Some("mix") };
        self.accounts.authenticate(presented, side).await
    }

    /// Authenticates for the API.
    pub(super) async fn who(&self, header: &str) -> Arc<Principal> {
        Arc::clone(self.ask(header, CredentialUse::Api).await.unwrap().principal().unwrap())
    }

    /// The message and the challenge for a wrong credential on the API.
    pub(super) async fn refused(&self, header: &str) -> (String, Option<&'static str>) {
        let error = self.ask(header, CredentialUse::Api).await.unwrap_err();
        (error.message(), error.www_authenticate())
    }
}
