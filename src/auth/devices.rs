//! The OAuth device flow: a program without a browser requests access, and its user approves or denies it on a page.

use std::net::IpAddr;
use std::time::Duration;

use super::accounts::Accounts;
use super::oauth::{INTERVAL, MIX, OAuthError, client};
use super::permission::{Permission, Permissions};
use super::principal::{Principal, Proof, SecondFactor};
use super::program_name::display_name;
use super::secret::{MacPurpose, NoRandom, random, random_text};
use super::throttle::{Bucket, ThrottleDecision};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::state::devices::{Device, DeviceStatus};
use crate::state::{Owner, StateError};

/// How long a device code is valid.
pub(super) const DEVICE: Duration = Duration::from_secs(600);

/// The largest number of open device codes.
const DEVICES: u64 = 10_000;

/// The alphabet of user codes, without letters that form words or look like digits.
const USER_CODE: &[u8] = b"23456789BCDFGHJKLMNPQRSTVWXYZ";

/// The answer to a device; the HTTP API adds the URL of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// The code with which the device polls.
    pub device_code: Secret,
    /// The code that the user enters; 8 characters.
    pub user_code: String,
    /// The lifetime in seconds.
    pub expires_in: u64,
    /// Seconds between polls.
    pub interval: u64,
}

/// A device's request for access, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The code, as it is stored.
    pub user_code: String,
    /// `mix` or `gleam`.
    pub client: &'static str,
    /// The name that the program reports: short, one line, without characters that could hide or reorder text.
    pub name: Option<String>,
    /// The address of the device.
    pub address: Option<IpAddr>,
    /// The requested permissions.
    pub permissions: Permissions,
    /// The time of the request.
    pub created_at: Timestamp,
}

/// The reason why a device request was neither approved nor denied.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No request has this code.
    #[error("the code is unknown or has expired")]
    Unknown,
    /// Too many wrong codes from this address.
    #[error("too many attempts")]
    Throttled,
    /// No permission was granted, or one that the device did not request.
    #[error("the granted permissions do not match the request")]
    Scopes,
    /// This server requires a second factor from every account, and this account has none.
    #[error("this server requires a second factor, and this account has none: set it up at /ui/second-factor first")]
    SecondFactorNotSetUp,
    /// Only a user who has just logged in with a password can approve a device.
    #[error("the password of a user is required")]
    NeedsPassword,
    /// The accounts cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl DeviceRequest {
    /// The permissions that the user can choose from. Besides `api`, they include the parts of it that can be granted
    /// separately.
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
    /// Starts the device flow.
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
        let permissions = permissions.ok_or(OAuthError::new("invalid_scope", "The scope is unknown"))?;
        let now = self.clock.now();
        let taken = self.limits.devices.take(Bucket::address(address), now);
        if matches!(taken, ThrottleDecision::No { .. }) || self.state.devices(now).await? >= DEVICES {
            return Err(OAuthError::new("slow_down", "Too many devices are waiting for approval"));
        }
        let code = random_text::<16>("")?;
        let mut device = Device {
            hash: self.secret.mac_text(MacPurpose::Device, &code),
            user_code: user_code()?,
            client: client.to_owned(),
            scopes: permissions.scope(),
            name: name.map(display_name),
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

    /// The request for a code that a user entered. Each wrong code counts as a failure.
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

    /// Approves a device for a user who has just logged in, with the chosen permissions.
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

    /// Denies a device.
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

/// An entered code in its stored form: without dashes and spaces, in upper case.
fn typed_code(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(16).map(|c| c.to_ascii_uppercase()).collect()
}

/// Eight random characters. Bytes that would make some characters more likely are discarded.
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
