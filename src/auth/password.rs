//! Password hashing with argon2id: two at a time, outside the threads that answer requests.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::error::AuthError;
use super::secret::random;
use crate::secret::Secret;
use crate::shutdown;

/// The number of parallel hashes. Each needs 19 MiB of memory and most of a core.
const AT_A_TIME: usize = 2;

/// The hash of no password, with the parameters of [`Argon2::default`]. Comparing with it takes as long as with a real
/// one.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The hash of a password as a PHC string.
    pub(super) async fn hash(&self, password: &str) -> Result<Secret, AuthError> {
        let password = Secret::new(password);
        self.run(move || {
            let salt = SaltString::encode_b64(&random::<16>().ok()?).ok()?;
            let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt).ok()?;
            Some(Secret::new(hash.to_string()))
        })
        .await
    }

    /// Whether a password matches a hash. Without a hash the answer is no, and takes the same time.
    pub(super) async fn verify(&self, password: &str, hash: Option<&Secret>) -> Result<bool, AuthError> {
        let (password, hash) = (Secret::new(password), hash.cloned());
        self.run(move || {
            let text = hash.as_ref().map_or(NOBODYS, Secret::expose);
            let parsed = PasswordHash::new(text).ok()?;
            let is_it = Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok();
            Some(is_it && hash.is_some())
        })
        .await
    }

    /// The permit moves into the task: a caller that disconnects does not free its place while the hash is computed.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Option<T> + Send + 'static) -> Result<T, AuthError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| AuthError::Machine)?;
        let done = shutdown::blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.ok().flatten().ok_or(AuthError::Machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_itself_and_nothing_else() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "as expensive as the dummy hash");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert_ne!(passwords.hash("correct horse").await.unwrap(), hash, "salted");
    }
}
