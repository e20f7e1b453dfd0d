//! OAuth for Hex clients (server-api §5.5): device codes, token refresh, exchange of API keys for tokens.

use std::net::IpAddr;
use std::time::Duration;

use super::accounts::Accounts;
use super::error::AuthError;
use super::permission::{Permission, Permissions};
use super::principal::Proof;
use super::program_name::display_name;
use super::secret::{KEY, MacPurpose, NoRandom, REFRESH, REFRESH_BYTES, random_text, sha256_text};
use crate::secret::Secret;
use crate::state::audit::Actor;
use crate::state::devices::Poll;
use crate::state::tokens::{Rotation, SessionRow};
use crate::state::{AccountError, Owner, StateError};

/// The client id of mix.
pub const MIX: &str = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";

/// The client id of gleam.
pub const GLEAM: &str = "877731e8-cb88-45e1-9b84-9214de7da421";

/// The lifetime of an access token. Clients request a new one when less than 300 seconds are left.
const ACCESS: Duration = Duration::from_secs(1800);

/// The lifetime of a session, whether it is refreshed or not.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The shortest time between two polls of a device.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// The tolerance for clients that poll slightly too early.
const JITTER: Duration = Duration::from_secs(1);

/// An error of OAuth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {description}")]
pub struct OAuthError {
    /// The error code of the RFC.
    pub error: &'static str,
    /// The description for people.
    pub description: &'static str,
    /// The status that clients expect with this error.
    pub status: u16,
}

impl OAuthError {
    pub(super) const fn new(error: &'static str, description: &'static str) -> Self {
        let status = match error.as_bytes() {
            b"invalid_client" => 401,
            b"access_denied" => 403,
            b"server_error" => 500,
            _ => 400,
        };
        Self { error, description, status }
    }
}

impl From<StateError> for OAuthError {
    fn from(_: StateError) -> Self {
        Self::new("server_error", "Cannot read or write the accounts")
    }
}

impl From<AccountError> for OAuthError {
    fn from(_: AccountError) -> Self {
        Self::new("server_error", "Cannot read or write the accounts")
    }
}

impl From<NoRandom> for OAuthError {
    fn from(_: NoRandom) -> Self {
        Self::new("server_error", "The operating system provides no random numbers")
    }
}

/// The parameters of a token request; parameters that are not strings are absent.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// The OAuth grant type.
    pub grant_type: Option<&'a str>,
    /// The id of the client.
    pub client_id: Option<&'a str>,
    /// An API key.
    pub client_secret: Option<&'a str>,
    /// The code of the device flow.
    pub device_code: Option<&'a str>,
    /// The refresh token of the session.
    pub refresh_token: Option<&'a str>,
    /// The requested scope.
    pub scope: Option<&'a str>,
    /// The name that the client reports.
    pub name: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: Option<&'a str>,
}

/// The answer with a new access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenResponse {
    /// For `Authorization: Bearer`.
    pub access_token: Secret,
    /// The lifetime in seconds.
    pub expires_in: u64,
    /// The granted scope.
    pub scope: String,
    /// The refresh token for the next request.
    pub refresh_token: Option<Secret>,
}

impl Accounts {
    /// Answers a token request.
    pub async fn token_request(&self, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
        match request.grant_type {
            Some("urn:ietf:params:oauth:grant-type:device_code") => self.device_token(request).await,
            Some("refresh_token") => self.refresh(request).await,
            Some("client_credentials") => self.exchange(request).await,
            Some(_) => Err(OAuthError::new("unsupported_grant_type", "Unsupported grant type")),
            None => Err(OAuthError::new("invalid_request", "Missing required parameter: grant_type")),
        }
    }

    async fn device_token(&self, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
        let client = client(request.client_id)?;
        let code = required(request.device_code, "Missing required parameter: device_code")?;
        let now = self.clock.now();
        let hash = self.secret.mac_text(MacPurpose::Device, code);
        let unknown = OAuthError::new("invalid_grant", "Invalid device code");
        let (device, user) = match self.state.poll_device(now, client, &hash, INTERVAL - JITTER).await? {
            Poll::Unknown => return Err(unknown),
            Poll::Expired => return Err(OAuthError::new("expired_token", "Device code has expired")),
            Poll::Denied => return Err(OAuthError::new("access_denied", "Authorization was denied")),
            Poll::TooFast => return Err(OAuthError::new("slow_down", "Polling too fast")),
            Poll::Pending => return Err(OAuthError::new("authorization_pending", "Authorization pending")),
            Poll::Approved(device, user) => (device, user),
        };
        let owner = Owner::User(user);
        let subject = self.subject(owner).await?;
        let session = random_text::<8>("")?;
        let refresh = random_text::<REFRESH_BYTES>(REFRESH)?;
        let (access, id) = self.secret.access_token(now.plus(ACCESS))?;
        let row = SessionRow {
            id: &session,
            owner: (owner, &subject),
            key: None,
            client,
            name: device.name.as_deref(),
            scopes: &device.scopes,
            expires_at: now.plus(SESSION),
            access: (&id, now.plus(ACCESS)),
            refresh: Some(&sha256_text(&refresh)),
            most: Some(self.options.sessions),
        };
        let by = by(&subject, "device", request);
        if !self.state.redeem_device(now, &hash, &row, &by).await? {
            return Err(unknown);
        }
        // This may have ended the oldest session.
        self.clear_cache();
        Ok(TokenResponse {
            access_token: access,
            expires_in: ACCESS.as_secs(),
            scope: device.scopes,
            refresh_token: Some(Secret::new(refresh)),
        })
    }

    async fn refresh(&self, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
        let client = client(request.client_id)?;
        let old = sha256_text(required(request.refresh_token, "Missing required parameter: refresh_token")?);
        let now = self.clock.now();
        // A token does not outlive its session, so the answer contains the same expiry as the token.
        let known = self.state.session_of_refresh(&old).await?;
        let end = known.map_or(now.plus(ACCESS), |session| now.plus(ACCESS).min(session.expires_at));
        let (access, id) = self.secret.access_token(end)?;
        let refresh = random_text::<REFRESH_BYTES>(REFRESH)?;
        let rotation = self.state.rotate(now, (client, &old, &sha256_text(&refresh)), (&id, end)).await?;
        match rotation {
            Rotation::Unknown => Err(OAuthError::new("invalid_grant", "Invalid refresh token")),
            Rotation::Ended => Err(OAuthError::new("invalid_grant", "Refresh token expired or revoked")),
            Rotation::Reused => {
                self.clear_cache();
                Err(OAuthError::new("invalid_grant", "Refresh token was already used; the session has ended"))
            }
            Rotation::Rotated(session) => {
                self.clear_cache();
                Ok(TokenResponse {
                    access_token: access,
                    expires_in: end.since(now).as_secs(),
                    scope: session.scopes,
                    refresh_token: Some(Secret::new(refresh)),
                })
            }
        }
    }

    /// Exchanges an API key for a token, with at most the permissions of the key.
    async fn exchange(&self, request: TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
        let client = client(request.client_id)?;
        let key = required(request.client_secret, "Missing required parameter: client_secret")?;
        let wrong = OAuthError::new("invalid_client", "Invalid API key");
        let found = if key.starts_with(KEY) { self.key(key).await } else { Err(AuthError::UnknownKey) };
        let identity = match found {
            Ok(identity) => identity,
            Err(AuthError::State(error)) => return Err(error.into()),
            Err(AuthError::UnknownKey) => {
                return Err(match self.unknown_key(request.address) {
                    AuthError::Throttled { .. } => OAuthError::new("invalid_client", "Too many invalid API keys"),
                    _ => wrong,
                });
            }
            Err(_) => return Err(wrong),
        };
        let principal = &identity.principal;
        let Proof::Key { id: key_id, name: key_name } = &principal.proof else { return Err(wrong) };
        let beyond = OAuthError::new("invalid_scope", "The scope exceeds the permissions of the API key");
        let permissions = match request.scope {
            Some(scope) => narrowed(&principal.permissions, scope).ok_or(beyond)?,
            None => principal.permissions.clone(),
        };
        let now = self.clock.now();
        let end = identity.until.map_or(now.plus(ACCESS), |end| now.plus(ACCESS).min(end));
        let (session, (access, id)) = (random_text::<8>("")?, self.secret.access_token(end)?);
        let subject = self.subject(principal.owner()).await?;
        let scope = permissions.scope();
        let name = request.name.map(display_name);
        let row = SessionRow {
            id: &session,
            owner: (principal.owner(), &subject),
            key: Some(*key_id),
            client,
            name: name.as_deref(),
            scopes: &scope,
            expires_at: end,
            access: (&id, end),
            refresh: None,
            most: None,
        };
        self.uses.note(*key_id, now, request.address, request.agent);
        self.state.begin_session(now, &row, &by(&subject, &format!("key:{key_name}"), request)).await?;
        Ok(TokenResponse { access_token: access, expires_in: end.since(now).as_secs(), scope, refresh_token: None })
    }

    /// Ends the session of an access token or a refresh token. Unknown tokens are ignored. `by` contains the address
    /// and the user agent; the actor is the owner of the token.
    pub async fn revoke_token(&self, token: &str, client_id: Option<&str>, by: Actor) -> Result<(), OAuthError> {
        let session = match self.secret.read_access_token(token) {
            Some((id, _)) => self.state.session_of_token(&id).await?.map(|(session, _)| session),
            None => self.state.session_of_refresh(&sha256_text(token)).await?,
        };
        let ours = session.filter(|session| client_id.is_none_or(|client| client == session.client));
        self.end(ours, by).await
    }

    /// Ends the session of a refresh token, given its SHA-256 in hexadecimal digits.
    pub async fn revoke_by_hash(&self, hash: &str, client_id: Option<&str>, by: Actor) -> Result<(), OAuthError> {
        let session = self.state.session_of_refresh(&hash.to_ascii_lowercase()).await?;
        self.end(session.filter(|session| client_id.is_none_or(|client| client == session.client)), by).await
    }

    async fn end(&self, session: Option<crate::state::tokens::Session>, by: Actor) -> Result<(), OAuthError> {
        if let Some(session) = session {
            let by = Actor {
                actor: self.subject(session.owner).await.ok(),
                credential: Some(format!("token:{}", session.id)),
                ..by
            };
            self.state.end_session(self.clock.now(), &session, "logged out", &by).await?;
            self.clear_cache();
        }
        Ok(())
    }

    /// Deletes expired sessions, tokens and codes; returns the number of rows. Called once a night.
    pub async fn purge(&self) -> Result<u64, StateError> {
        self.state.purge_tokens(self.clock.now()).await
    }
}

/// The requested scope, if the key has permission for it. Clients request `repositories` with any key: for a key with
/// access to some repositories, the result contains these.
fn narrowed(key: &Permissions, scope: &str) -> Option<Permissions> {
    let asked = Permissions::from_scope(scope)?;
    let everywhere = Permissions::of([Permission::Repositories]);
    let granted = asked.iter().flat_map(|permission| match permission {
        Permission::Repositories if !key.covers(&everywhere) => {
            key.iter().filter(|ours| matches!(ours, Permission::Repository(_))).cloned().collect()
        }
        other => vec![other.clone()],
    });
    let granted = Permissions::of(granted);
    (!granted.is_empty() && key.covers(&granted)).then_some(granted)
}

pub(super) fn client(id: Option<&str>) -> Result<&'static str, OAuthError> {
    [MIX, GLEAM]
        .into_iter()
        .find(|client| id == Some(client))
        .ok_or(OAuthError::new("invalid_client", "Invalid client"))
}

fn required<'a>(value: Option<&'a str>, missing: &'static str) -> Result<&'a str, OAuthError> {
    value.filter(|value| !value.is_empty()).ok_or(OAuthError::new("invalid_request", missing))
}

fn by(subject: &str, credential: &str, request: TokenRequest<'_>) -> Actor {
    Actor {
        actor: Some(subject.to_owned()),
        credential: Some(credential.to_owned()),
        key: None,
        address: Some(request.address),
        agent: request.agent.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
