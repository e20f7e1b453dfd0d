//! The second factor of accounts (TOTP): enabling, disabling and checking it at login and for writes with OAuth tokens.

use std::net::IpAddr;
use std::sync::Arc;

use super::accounts::{Accounts, Identity, PresentedCredential, TotpMode};
use super::error::AuthError;
use super::management::ManageError;
use super::principal::{Principal, Proof, SecondFactor};
use super::secret::{MacPurpose, NoRandom, random_text};
use super::throttle::{Bucket, ThrottleDecision};
use super::totp::{self, TotpSetup};
use crate::secret::Secret;
use crate::state::Owner;
use crate::state::audit::Actor;

/// The number of recovery codes of a user.
const RECOVERY_CODES: usize = 10;

impl Accounts {
    /// Logs in a user with a name or address, a password and, if the account has a second factor, a code or a recovery
    /// code. For the HTML pages. The principal says whether a required second factor is missing; the page that sets it
    /// up must still open.
    pub async fn login(
        &self,
        name_or_email: &str,
        password: &str,
        otp: Option<&str>,
        (address, agent): (IpAddr, Option<&str>),
    ) -> Result<Arc<Principal>, AuthError> {
        let name = name_or_email.trim().to_lowercase();
        let (identity, counts) = self.password(&name, password, address).await?;
        let presented = PresentedCredential { authorization: None, otp: None, address, agent };
        let mut principal = self.principal(&identity, presented).await?;
        principal.second_factor = match (self.options.totp, &identity.totp) {
            (TotpMode::Required, None) => SecondFactor::NotSetUp,
            (TotpMode::Off, _) | (TotpMode::Optional, None) => SecondFactor::NotNeeded,
            (TotpMode::Optional | TotpMode::Required, Some(_)) => SecondFactor::Shown,
        };
        if let (Some(secret), Owner::User(user), true) =
            (&identity.totp, principal.owner(), self.options.totp != TotpMode::Off)
        {
            let code = otp.map(str::trim).filter(|code| !code.is_empty()).ok_or(AuthError::CodeMissing)?;
            // Each login is its own session, so each code can be used once.
            let session = random_text::<16>("login:").map_err(|_| AuthError::Machine)?;
            match self.code(user, secret, code, &session, address).await? {
                SecondFactor::Shown => {}
                SecondFactor::Exhausted => return Err(AuthError::CodesExhausted),
                _ if self.recovery_code(user, code, &principal.by()).await? => self.uncount_code(user, address),
                _ => return Err(AuthError::CodeWrong),
            }
        }
        if let (true, Owner::User(user)) = (counts, principal.owner()) {
            self.uncount_password(user, address);
        }
        Ok(Arc::new(principal))
    }

    /// Starts the setup of a second factor: returns the secret for the user's app, which shows it under the host in
    /// `public_url`. The second factor is disabled until it is confirmed.
    pub async fn begin_totp(&self, name: &str, public_url: &str) -> Result<TotpSetup, ManageError> {
        let issuer = public_url.split_once("://").map_or(public_url, |(_, host)| host);
        let user = self.known_user(name).await?;
        let setup = totp::setup(issuer, &user.name)?;
        self.state.begin_totp(user.id, &setup.secret).await?;
        Ok(setup)
    }

    /// Enables the second factor after checking a code; returns the recovery codes, which are only shown once.
    pub async fn confirm_totp(&self, name: &str, code: &str, by: &Actor) -> Result<Vec<Secret>, ManageError> {
        let user = self.known_user(name).await?;
        let now = self.clock.now();
        let step = user.totp_pending.as_ref().and_then(|secret| totp::step(secret, code, now));
        let step = step.ok_or(ManageError::WrongCode)?;
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| random_text::<8>("")).collect::<Result<_, NoRandom>>()?;
        let hashes: Vec<String> = codes.iter().map(|code| self.secret.mac_text(MacPurpose::Recovery, code)).collect();
        self.state.confirm_totp(now, &user, step, &hashes, by).await?;
        self.clear_cache();
        Ok(codes.into_iter().map(Secret::new).collect())
    }

    /// Disables the second factor.
    pub async fn disable_totp(&self, name: &str, by: &Actor) -> Result<(), ManageError> {
        let user = self.known_user(name).await?;
        self.state.disable_totp(self.clock.now(), &user, by).await?;
        self.clear_cache();
        Ok(())
    }

    pub(super) async fn second_factor(
        &self,
        identity: &Identity,
        presented: PresentedCredential<'_>,
    ) -> Result<SecondFactor, AuthError> {
        let (Proof::Token { id, key: None }, Owner::User(user)) =
            (&identity.principal.proof, identity.principal.owner())
        else {
            return Ok(SecondFactor::Exempt);
        };
        let code = presented.otp.map(str::trim).filter(|code| !code.is_empty());
        match (self.options.totp, &identity.totp, code) {
            (TotpMode::Off, _, _) | (TotpMode::Optional, None, _) => Ok(SecondFactor::NotNeeded),
            (TotpMode::Required, None, _) => Ok(SecondFactor::NotSetUp),
            (_, Some(_), None) => Ok(SecondFactor::Missing),
            (_, Some(secret), Some(code)) => Box::pin(self.code(user, secret, code, id, presented.address)).await,
        }
    }

    /// Checks a code for `session`, which may send it again as long as it is valid.
    pub(super) async fn code(
        &self,
        user: i64,
        secret: &Secret,
        code: &str,
        session: &str,
        address: IpAddr,
    ) -> Result<SecondFactor, AuthError> {
        let now = self.clock.now();
        let (by_address, by_user) = (Bucket::address(address), Bucket::User(user));
        let limits = &self.limits;
        if let ThrottleDecision::No { .. } = limits.codes_by_user.take(by_user.clone(), now) {
            return Ok(SecondFactor::Exhausted);
        }
        if let ThrottleDecision::No { .. } = limits.codes_by_address.take(by_address, now) {
            limits.codes_by_user.give_back(&by_user, now);
            return Ok(SecondFactor::Exhausted);
        }
        let accepted = match totp::step(secret, code, now) {
            Some(step) => self.state.accept_totp(user, step, session).await?,
            None => false,
        };
        if !accepted {
            return Ok(SecondFactor::Wrong);
        }
        self.uncount_code(user, address);
        Ok(SecondFactor::Shown)
    }

    /// Removes the last attempt from the count of failures.
    fn uncount_code(&self, user: i64, address: IpAddr) {
        let now = self.clock.now();
        self.limits.codes_by_user.give_back(&Bucket::User(user), now);
        self.limits.codes_by_address.give_back(&Bucket::address(address), now);
    }

    async fn recovery_code(&self, user: i64, code: &str, by: &Actor) -> Result<bool, AuthError> {
        let Some(user) = self.state.user_of(user).await? else { return Ok(false) };
        let hash = self.secret.mac_text(MacPurpose::Recovery, &code.to_lowercase().replace(' ', ""));
        Ok(self.state.use_recovery_code(self.clock.now(), &user, &hash, by).await?)
    }
}
