//! Passwords: argon2id, two at a time, never on the threads that answer.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::error::AuthError;
use super::secret::random;
use crate::secret::Secret;
use crate::shutdown;

/// How many passwords are hashed at a time. Each takes 19 MiB of memory and some of a core.
const AT_A_TIME: usize = 2;

/// Longest password, in bytes.
pub(super) const MOST: usize = 1024;

/// Of no password; as expensive to compare with as a real one. The parameters are those of [`Argon2::default`].
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and compares passwords.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The PHC text of a password.
    pub(super) async fn hash(&self, password: &str) -> Result<Secret, AuthError> {
        let password = Secret::new(password);
        self.run(move || {
            let salt = SaltString::encode_b64(&random::<16>().ok()?).ok()?;
            let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt).ok()?;
            Some(Secret::new(hash.to_string()))
        })
        .await
    }

    /// Whether a password is the one of a hash. Without a hash the answer is no, and takes as long.
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

    /// The permit goes along: a caller that goes away does not make room while the work goes on.
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
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "as expensive as nobody's");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert_ne!(passwords.hash("correct horse").await.unwrap(), hash, "salted");
    }
}
