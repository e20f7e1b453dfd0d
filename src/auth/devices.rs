//! How a program without a browser asks to be let in, and what its user answers on a page.

use std::net::IpAddr;
use std::time::Duration;

use super::accounts::Accounts;
use super::oauth::{INTERVAL, MIX, OAuthError, client};
use super::permission::{Permission, Permissions};
use super::principal::{Principal, Proof, SecondFactor};
use super::program_name::said;
use super::secret::{MacPurpose, NoRandom, random, random_text};
use super::throttle::{Bucket, ThrottleDecision};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::state::devices::{Device, DeviceStatus};
use crate::state::{Owner, StateError};

/// How long a device code is good.
pub(super) const DEVICE: Duration = Duration::from_secs(600);

/// Device codes at a time.
const DEVICES: u64 = 10_000;

/// What a user types has no letters that make words or look like digits.
const USER_CODE: &[u8] = b"23456789BCDFGHJKLMNPQRSTVWXYZ";

/// What a device is given; the addresses of the page are the edge's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// What it polls with.
    pub device_code: Secret,
    /// What its user types; 8 characters.
    pub user_code: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between polls.
    pub interval: u64,
}

/// What a device asks of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The code, as it is stored.
    pub user_code: String,
    /// `mix` or `gleam`.
    pub client: &'static str,
    /// What it calls itself, short, of one line, with nothing in it that is not shown as what it is.
    pub name: Option<String>,
    /// From where it asked.
    pub address: Option<IpAddr>,
    /// What it wants to do.
    pub permissions: Permissions,
    /// When it asked.
    pub created_at: Timestamp,
}

/// Why a device was neither let in nor turned away.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Nothing waits under this code.
    #[error("there is no such code, or it has ended")]
    Unknown,
    /// Too many codes were tried from there.
    #[error("too many attempts")]
    Throttled,
    /// Nothing was granted, or more than was asked for.
    #[error("not what was asked for")]
    Scopes,
    /// A second factor is required of everybody, and this user has none.
    #[error("this server requires a second factor, and this account has none: set it up at /ui/second-factor first")]
    SecondFactorNotSetUp,
    /// Only a user who has just shown a password lets programs in.
    #[error("a user's password is needed")]
    NeedsPassword,
    /// The accounts cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl DeviceRequest {
    /// The rights among which its user chooses. Beside `api` stand the parts of it that can be granted without the rest.
    pub fn rights(&self) -> Vec<Permission> {
        let parts = |permission: &Permission| match permission {
            Permission::Api => vec![Permission::Api, Permission::ApiRead, Permission::ApiWrite],
            other => vec![other.clone()],
        };
        let mut rights = Vec::new();
        for right in self.permissions.iter().flat_map(parts) {
            if !rights.contains(&right) {
                rights.push(right);
            }
        }
        rights
    }
}

impl Accounts {
    /// Begins to let a device in.
    pub async fn device_authorization(
        &self,
        client_id: Option<&str>,
        scope: Option<&str>,
        name: Option<&str>,
        address: IpAddr,
    ) -> Result<DeviceAuthorization, OAuthError> {
        let client = client(client_id)?;
        let permissions = scope
            .and_then(Permissions::from_scope)
            .filter(|permissions| !permissions.is_empty() && !permissions.policy_write());
        let permissions = permissions.ok_or(OAuthError::new("invalid_scope", "The scope is none that exists"))?;
        let now = self.clock.now();
        let taken = self.limits.devices.take(Bucket::address(address), now);
        if matches!(taken, ThrottleDecision::No { .. }) || self.state.devices(now).await? >= DEVICES {
            return Err(OAuthError::new("slow_down", "Too many devices ask at a time"));
        }
        let code = random_text::<16>("")?;
        let mut device = Device {
            hash: self.secret.mac_text(MacPurpose::Device, &code),
            user_code: user_code()?,
            client: client.to_owned(),
            scopes: permissions.scope(),
            name: name.map(said),
            address: Some(address),
            status: DeviceStatus::Pending,
            created_at: now,
            expires_at: now.plus(DEVICE),
            polled_at: None,
        };
        while !self.state.add_device(&device).await? {
            device.user_code = user_code()?;
        }
        Ok(DeviceAuthorization {
            device_code: Secret::new(code),
            user_code: device.user_code,
            expires_in: DEVICE.as_secs(),
            interval: INTERVAL.as_secs(),
        })
    }

    /// What asks under the code that a user has typed; each wrong one counts.
    pub async fn device_request(&self, typed: &str, address: IpAddr) -> Result<DeviceRequest, DeviceError> {
        let now = self.clock.now();
        let bucket = Bucket::address(address);
        if let ThrottleDecision::No { .. } = self.limits.user_codes.take(bucket.clone(), now) {
            return Err(DeviceError::Throttled);
        }
        let device = self.state.device(&typed_code(typed)).await?;
        let waits = |device: &Device| device.status == DeviceStatus::Pending && now < device.expires_at;
        let device = device.filter(waits).ok_or(DeviceError::Unknown)?;
        self.limits.user_codes.give_back(&bucket, now);
        Ok(DeviceRequest {
            client: if device.client == MIX { "mix" } else { "gleam" },
            permissions: Permissions::from_scope(&device.scopes).unwrap_or_default(),
            user_code: device.user_code,
            name: device.name,
            address: device.address,
            created_at: device.created_at,
        })
    }

    /// Lets a device in on behalf of a user, who has just logged in, for what was chosen of what it asks.
    pub async fn approve_device(
        &self,
        typed: &str,
        user: &Principal,
        granted: &Permissions,
        address: IpAddr,
    ) -> Result<(), DeviceError> {
        let request = self.device_request(typed, address).await?;
        if user.second_factor == SecondFactor::NotSetUp {
            return Err(DeviceError::SecondFactorNotSetUp);
        }
        if granted.is_empty() || granted.is_everything() || !request.permissions.covers(granted) {
            return Err(DeviceError::Scopes);
        }
        self.decide(&request.user_code, user, Some(&granted.least().scope())).await
    }

    /// Turns a device away.
    pub async fn deny_device(&self, typed: &str, user: &Principal, address: IpAddr) -> Result<(), DeviceError> {
        let request = self.device_request(typed, address).await?;
        self.decide(&request.user_code, user, None).await
    }

    async fn decide(&self, code: &str, user: &Principal, scopes: Option<&str>) -> Result<(), DeviceError> {
        let (Owner::User(id), Proof::Password) = (user.owner(), &user.proof) else {
            return Err(DeviceError::NeedsPassword);
        };
        let decided = self.state.decide_device(self.clock.now(), code, id, scopes).await?;
        if decided { Ok(()) } else { Err(DeviceError::Unknown) }
    }
}

/// What was typed as it is stored: without dashes and spaces, in upper case.
fn typed_code(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(16).map(|c| c.to_ascii_uppercase()).collect()
}

/// Eight characters, each as likely as the next: bytes that would favour some are thrown away.
pub(super) fn user_code() -> Result<String, NoRandom> {
    let fair = 256 - 256 % USER_CODE.len();
    let mut code = String::new();
    while code.len() < 8 {
        let [byte] = random::<1>()?;
        let at = usize::from(byte);
        if let Some(letter) = USER_CODE.get(at % USER_CODE.len()).filter(|_| at < fair) {
            code.push(char::from(*letter));
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests;
