//! Authentication: finds the user or organization of a credential, and keeps the limits for failed attempts.
//!
//! Results are cached for a minute, by a MAC of the credential. A change of any account in this process clears the
//! cache, so a revoked key is rejected immediately.

mod by_password;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::OnceCell;

use super::credential::{self, Credential};
use super::error::AuthError;
use super::last_used::LastUses;
use super::password::Passwords;
use super::permission::Permissions;
use super::principal::{Caller, ExchangedKey, Principal, Proof, Role, SecondFactor, Subject};
use super::secret::{MacPurpose, ServerSecret, equal};
use super::throttle::{Bucket, RateLimits, ThrottleDecision, Windows};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;
use crate::state::users::User;
use crate::state::{Owner, State, StateError};

/// How long a result stays in the cache.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The largest number of cached results.
const MOST_REMEMBERED: u64 = 10_000;

/// Whether users need a second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TotpMode {
    /// Never; codes in requests are ignored.
    Off,
    /// For accounts that have one: their password alone is then rejected.
    #[default]
    Optional,
    /// For every write with an OAuth token; passwords alone are always rejected.
    Required,
}

/// The settings of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountOptions {
    /// Whether everybody can create an account.
    pub sign_up: bool,
    /// Whether the API and private repositories accept passwords (HTTP Basic authentication).
    pub basic: bool,
    /// Whether users need a second factor.
    pub totp: TotpMode,
    /// The rate limits per minute.
    pub rates: RateLimits,
    /// The largest number of OAuth sessions of a user, without tokens that were exchanged for API keys.
    pub sessions: u32,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self { sign_up: false, basic: true, totp: TotpMode::Optional, rates: RateLimits::default(), sessions: 5 }
    }
}

/// The credential in a request, and the data about its client.
#[derive(Clone, Copy, Debug)]
pub struct PresentedCredential<'a> {
    /// The value of the `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// The value of the `X-Hex-OTP` header; only set for writes, since each wrong code counts as a failure.
    pub otp: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
    /// The `User-Agent` of the client.
    pub agent: Option<&'a str>,
}

/// The purpose of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialUse {
    /// To read a repository.
    Repository {
        /// Whether the repository is public: then a credential of another server is ignored.
        open: bool,
    },
    /// To call the API, where every credential must be valid.
    Api,
}

/// Users, organizations and their credentials.
#[derive(Debug)]
pub struct Accounts {
    pub(super) state: State,
    pub(super) secret: ServerSecret,
    pub(super) options: AccountOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) passwords: Passwords,
    pub(super) uses: LastUses,
    pub(super) limits: Limits,
    /// Users whose names are in the files of local repositories.
    pub(super) named_in_files: OnceCell<BTreeSet<String>>,
    remembered: Cache<[u8; 32], Remembered>,
    generation: AtomicU64,
}

/// The limits for failed attempts; the periods are those of hex.pm, if it has the limit.
#[derive(Debug)]
pub(super) struct Limits {
    passwords: Windows,
    keys: Windows,
    pub(super) codes_by_address: Windows,
    pub(super) codes_by_user: Windows,
    pub(super) user_codes: Windows,
    pub(super) devices: Windows,
}

#[derive(Clone, Debug)]
struct Remembered {
    generation: u64,
    until: Timestamp,
    found: CredentialMatch,
}

#[derive(Clone, Debug)]
enum CredentialMatch {
    Identity(Arc<Identity>),
    WrongPassword,
}

/// The result of authentication, without the data of the single request.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) principal: Principal,
    /// The secret of the second factor.
    pub(super) totp: Option<Secret>,
    /// The time at which the credential expires.
    pub(super) until: Option<Timestamp>,
}

impl Accounts {
    /// The accounts in a database. Keys are hashed with `secret`.
    pub fn new(state: State, secret: ServerSecret, options: AccountOptions, clock: Arc<dyn Clock>) -> Arc<Self> {
        let windows = |limit, minutes: u64| Windows::new(limit, Duration::from_secs(minutes * 60));
        let limits = Limits {
            passwords: windows(options.rates.failures, 1),
            keys: windows(options.rates.failures, 1),
            codes_by_address: windows(20, 15),
            codes_by_user: windows(5, 10),
            user_codes: windows(30, 15),
            devices: windows(30, 15),
        };
        Arc::new(Self {
            state,
            secret,
            options,
            clock,
            passwords: Passwords::new(),
            uses: LastUses::default(),
            limits,
            named_in_files: OnceCell::new(),
            remembered: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build(),
            generation: AtomicU64::new(0),
        })
    }

    /// The settings of accounts.
    pub fn options(&self) -> &AccountOptions {
        &self.options
    }

    /// Authenticates the sender of a request.
    pub async fn authenticate(
        &self,
        presented: PresentedCredential<'_>,
        side: CredentialUse,
    ) -> Result<Caller, AuthError> {
        let Some(credential) = presented.authorization.and_then(credential::read) else {
            return Ok(Caller::Anonymous);
        };
        let open = side == CredentialUse::Repository { open: true };
        let found = match &credential {
            Credential::Key(key) => self.key(key).await,
            Credential::Token(token) => self.token(token).await,
            Credential::Password { .. } if !self.options.basic => Err(AuthError::BasicDisabled),
            Credential::Password { name, password } => {
                Box::pin(self.password_alone(name, password, presented.address)).await
            }
            Credential::Malformed => Err(AuthError::Malformed),
            Credential::Foreign => Err(AuthError::UnknownKey),
        };
        let foreign = matches!(credential, Credential::Password { .. } | Credential::Foreign | Credential::Malformed);
        match found {
            Ok(identity) => Ok(Caller::Known(Arc::new(self.principal(&identity, presented).await?))),
            Err(error @ (AuthError::State(_) | AuthError::Machine | AuthError::Deactivated)) => Err(error),
            Err(AuthError::UnknownKey) if open && !self.is_our_token(&credential) => Ok(Caller::Anonymous),
            Err(_) if open && foreign => Ok(Caller::Anonymous),
            Err(AuthError::UnknownKey) => Err(self.unknown_key(presented.address)),
            Err(error) => Err(error),
        }
    }

    /// The user or organization with all its permissions, as after authentication by password.
    pub async fn principal_of(&self, owner: Owner) -> Result<Option<Arc<Principal>>, StateError> {
        match self.load(owner, Proof::Password, Permissions::everything(), None).await {
            Ok(identity) => Ok(Some(Arc::new(identity.principal))),
            Err(AuthError::State(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Clears the cache of results. Every change of an account calls this after its write.
    pub(super) fn clear_cache(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The owner of an API key.
    pub(super) async fn key(&self, key: &str) -> Result<Arc<Identity>, AuthError> {
        self.identified(key, || self.identity_of_key(key)).await
    }

    async fn token(&self, token: &str) -> Result<Arc<Identity>, AuthError> {
        self.identified(token, || self.identity_of_token(token)).await
    }

    /// The owner of a key or a token, from the cache or from `look_up`.
    async fn identified<F>(&self, text: &str, look_up: impl FnOnce() -> F) -> Result<Arc<Identity>, AuthError>
    where
        F: Future<Output = Result<Arc<Identity>, AuthError>> + Send,
    {
        let (place, generation) = (self.secret.mac(MacPurpose::Cache, text.as_bytes()), self.generation());
        if let Some(CredentialMatch::Identity(identity)) = self.recall(&place) {
            return Ok(identity);
        }
        // Boxed: this branch is rare, and its size would slow down every request.
        let identity = Box::pin(look_up()).await?;
        self.remember(place, generation, CredentialMatch::Identity(Arc::clone(&identity)));
        Ok(identity)
    }

    async fn identity_of_key(&self, key: &str) -> Result<Arc<Identity>, AuthError> {
        let now = self.clock.now();
        let (lookup, compared) = self.secret.halves(key);
        let row = self.state.key_by_lookup(&lookup).await?.ok_or(AuthError::UnknownKey)?;
        if !equal(row.compared.as_bytes(), compared.as_bytes()) {
            return Err(AuthError::UnknownKey);
        }
        if !row.is_live(now) {
            return Err(AuthError::RevokedKey);
        }
        if let Some(last) = &row.last_use {
            self.uses.was_used(row.id, last.at);
        }
        let proof = Proof::Key { id: row.id, name: row.name };
        let permissions = Permissions::from_json(&row.permissions);
        Ok(Arc::new(self.load(row.owner, proof, permissions, row.revoke_at).await?))
    }

    async fn identity_of_token(&self, token: &str) -> Result<Arc<Identity>, AuthError> {
        let now = self.clock.now();
        let (id, expires) = self.secret.read_access_token(token).ok_or(AuthError::UnknownKey)?;
        if now >= expires {
            return Err(AuthError::TokenExpired);
        }
        let (session, revoked) = self.state.session_of_token(&id).await?.ok_or(AuthError::UnknownKey)?;
        if revoked || !session.is_live(now) {
            return Err(AuthError::UnknownKey);
        }
        let (mut until, mut exchanged) = (expires, None);
        if let Some(id) = session.key {
            let key = self.state.key_of(id).await?.filter(|key| key.is_live(now)).ok_or(AuthError::RevokedKey)?;
            until = key.revoke_at.map_or(until, |end| until.min(end));
            exchanged = Some(ExchangedKey { id, name: key.name });
        }
        let proof = Proof::Token { id: session.id, key: exchanged };
        let permissions = Permissions::from_scope(&session.scopes).unwrap_or_default();
        Ok(Arc::new(self.load(session.owner, proof, permissions, Some(until)).await?))
    }

    /// Counts an unknown key and returns the error, also when there are too many. Valid keys from the same address stay
    /// accepted: guessing a key is impossible, and one misconfigured client must not lock out its neighbours.
    pub(super) fn unknown_key(&self, address: IpAddr) -> AuthError {
        let now = self.clock.now();
        match self.limits.keys.take(Bucket::address(address), now) {
            ThrottleDecision::Yes(_) => AuthError::UnknownKey,
            ThrottleDecision::No { .. } => AuthError::Throttled { retry_after: self.limits.keys.end(now).since(now) },
        }
    }

    fn is_our_token(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::Token(token) if self.secret.read_access_token(token).is_some())
    }

    async fn load(
        &self,
        owner: Owner,
        proof: Proof,
        permissions: Permissions,
        until: Option<Timestamp>,
    ) -> Result<Identity, AuthError> {
        let mut owners = vec![owner];
        let (who, roles, totp) = match owner {
            Owner::User(id) => {
                let user = self.state.user_of(id).await?.ok_or(AuthError::UnknownKey)?;
                if user.deactivated_at.is_some() {
                    return Err(AuthError::Deactivated);
                }
                let memberships = self.state.memberships(id).await?;
                owners.extend(memberships.iter().map(|(organization, _)| Owner::Organization(organization.id)));
                let roles = memberships.into_iter().map(|(organization, role)| (organization.name, role)).collect();
                let User { name, administrator, totp, .. } = user;
                (Subject::User { id, name, administrator }, roles, totp)
            }
            Owner::Organization(id) => {
                let organization = self.state.organization_of(id).await?.ok_or(AuthError::UnknownKey)?;
                let roles = BTreeMap::from([(organization.name.clone(), Role::Write)]);
                (Subject::Organization { id, name: organization.name }, roles, None)
            }
        };
        let mut reads = Vec::new();
        for owner in owners {
            let grants = self.state.grants(Some(owner)).await?;
            reads.extend(grants.into_iter().map(|grant| (grant.repository, grant.pattern)));
        }
        let second_factor = SecondFactor::Exempt;
        let principal = Principal { who, proof, permissions, roles, reads, second_factor, address: None, agent: None };
        Ok(Identity { principal, totp, until })
    }

    /// The caller: the cached identity with the data of this request.
    pub(super) async fn principal(
        &self,
        identity: &Identity,
        presented: PresentedCredential<'_>,
    ) -> Result<Principal, AuthError> {
        let mut principal = identity.principal.clone();
        principal.address = Some(presented.address);
        principal.agent = presented.agent.map(str::to_owned);
        if let Proof::Key { id, .. } = principal.proof {
            self.uses.note(id, self.clock.now(), presented.address, presented.agent);
        }
        principal.second_factor = self.second_factor(identity, presented).await?;
        Ok(principal)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn recall(&self, place: &[u8; 32]) -> Option<CredentialMatch> {
        let remembered = self.remembered.get(place)?;
        let good = remembered.generation == self.generation() && self.clock.now() < remembered.until;
        good.then_some(remembered.found)
    }

    /// `generation` is the one before the accounts were read: a result that a change made outdated is not cached.
    fn remember(&self, place: [u8; 32], generation: u64, found: CredentialMatch) {
        let mut until = self.clock.now().plus(REMEMBERED);
        if let CredentialMatch::Identity(identity) = &found {
            until = identity.until.map_or(until, |end| until.min(end));
        }
        self.remembered.insert(place, Remembered { generation, until, found });
    }
}

#[cfg(test)]
mod tests;
