//! Authentication by user name and password, and the cases in which a password alone is rejected.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::error::AuthError;
use super::super::permission::Permissions;
use super::super::principal::Proof;
use super::super::secret::MacPurpose;
use super::super::throttle::{Bucket, ThrottleDecision};
use super::{Accounts, CredentialMatch, Identity, TotpMode};
use crate::hex::limits;
use crate::state::audit::{Action, Actor};
use crate::state::users::User;
use crate::state::{Owner, StateError};

impl Accounts {
    /// The user of a name and a password, if the account does not need a second factor.
    pub(super) async fn password_alone(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Arc<Identity>, AuthError> {
        if self.options.totp == TotpMode::Required {
            return Err(AuthError::PasswordAlone);
        }
        match self.password(name, password, address).await {
            // For an account with a second factor, a correct password gets the same answer as a wrong one, and counts
            // the same.
            Ok((identity, _)) if self.wants_code(&identity) => Err(AuthError::PasswordRefused),
            Err(AuthError::WrongPassword) if self.options.totp == TotpMode::Optional => Err(AuthError::PasswordRefused),
            found => found.map(|(identity, _)| identity),
        }
    }

    /// Whether a password is rejected without a code.
    fn wants_code(&self, identity: &Identity) -> bool {
        identity.totp.is_some() && self.options.totp != TotpMode::Off
    }

    /// The user of a name and a password. The attempt counts as a failure until a code is accepted: see
    /// [`Self::uncount_password`]. A cached pair is neither hashed nor counted again, whether it is right or wrong.
    pub(in crate::auth) async fn password(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<(Arc<Identity>, bool), AuthError> {
        let place = self.secret.mac(MacPurpose::Cache, format!("{name}\0{password}").as_bytes());
        let generation = self.generation();
        match self.recall(&place) {
            Some(CredentialMatch::Identity(identity)) => return Ok((identity, false)),
            Some(CredentialMatch::WrongPassword) => return Err(AuthError::WrongPassword),
            None => {}
        }
        if name.len() > limits::PASSWORD || password.len() > limits::PASSWORD {
            return Err(AuthError::WrongPassword);
        }
        let now = self.clock.now();
        let user = self.state.user(name).await?;
        // Counted before the result is known, so that parallel attempts cannot exceed the limit.
        let buckets = buckets(user.as_ref(), name, address);
        for (at, bucket) in buckets.iter().enumerate() {
            if let ThrottleDecision::No { first } = self.limits.passwords.take(bucket.clone(), now) {
                buckets.iter().take(at).for_each(|taken| self.limits.passwords.give_back(taken, now));
                if first {
                    self.note_failures(name, address).await?;
                }
                return Err(AuthError::Throttled { retry_after: self.limits.passwords.end(now).since(now) });
            }
        }
        let hash = user.as_ref().and_then(|user| user.password.as_ref());
        let right = self.passwords.verify(password, hash).await?;
        // A deactivated user must not learn whether the password is right.
        let Some(user) = user.filter(|user| right && user.deactivated_at.is_none()) else {
            self.remember(place, generation, CredentialMatch::WrongPassword);
            return Err(AuthError::WrongPassword);
        };
        let (proof, all) = (Proof::Password, Permissions::everything());
        let identity = Arc::new(self.load(Owner::User(user.id), proof, all, None).await?);
        self.remember(place, generation, CredentialMatch::Identity(Arc::clone(&identity)));
        let counts = self.wants_code(&identity);
        if !counts {
            self.uncount_password(user.id, address);
        }
        Ok((identity, counts))
    }

    /// Removes the last password attempt of a user from the count of failures.
    pub(in crate::auth) fn uncount_password(&self, user: i64, address: IpAddr) {
        let now = self.clock.now();
        for bucket in [Bucket::address(address), Bucket::User(user)] {
            self.limits.passwords.give_back(&bucket, now);
        }
    }

    async fn note_failures(&self, name: &str, address: IpAddr) -> Result<(), StateError> {
        let by = Actor { address: Some(address), ..Actor::default() };
        let name: String = name.chars().take(64).collect();
        let detail = format!("too many wrong passwords, the last one for {name:?}");
        self.state.audit_by(self.clock.now(), Action::AuthFailed, ("", None, None), &detail, &by).await
    }
}

/// The counters for wrong passwords. Attempts for one user share a counter, by name and by confirmed address.
fn buckets(user: Option<&User>, name: &str, address: IpAddr) -> [Bucket; 2] {
    let whose = user.map_or_else(|| Bucket::Name(name.to_owned()), |user| Bucket::User(user.id));
    [Bucket::address(address), whose]
}
