//! Time-based one-time passwords (RFC 6238: SHA-1, six digits, 30 seconds).

use totp_rs::{Algorithm, Secret as Encoded, TOTP};

use super::secret::{NoRandom, equal, random};
use crate::clock::Timestamp;
use crate::secret::Secret;

const STEP: u64 = 30;

/// How many steps the clock of a client may differ.
const SKEW: i64 = 1;

/// The data for a user who sets up a second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpSetup {
    /// For a QR code: `otpauth://totp/…`.
    pub url: Secret,
    /// The secret in base32, for typing.
    pub secret: Secret,
}

/// A new secret of 160 bits for `user`; the app shows it under `issuer`.
pub(super) fn setup(issuer: &str, user: &str) -> Result<TotpSetup, NoRandom> {
    let secret = Encoded::Raw(random::<20>()?.to_vec()).to_encoded().to_string();
    let issuer = issuer.replace(':', "-");
    let totp = totp(&secret, Some(issuer), user).ok_or(NoRandom)?;
    Ok(TotpSetup { url: Secret::new(totp.get_url()), secret: Secret::new(secret) })
}

/// The step of a code, if the code is valid now.
pub(super) fn step(secret: &Secret, code: &str, now: Timestamp) -> Option<i64> {
    let totp = totp(secret.expose(), None, "")?;
    let present = i64::try_from(now.as_secs() / STEP).ok()?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).take(16).collect();
    let is_code = |step: &i64| {
        u64::try_from(*step)
            .is_ok_and(|step| equal(totp.generate(step.saturating_mul(STEP)).as_bytes(), code.as_bytes()))
    };
    // The latest first: if two steps have the same code, the later one blocks more reuse.
    (present - SKEW..=present + SKEW).rev().find(is_code)
}

fn totp(secret: &str, issuer: Option<String>, account: &str) -> Option<TOTP> {
    let secret = Encoded::Encoded(secret.to_owned()).to_bytes().ok()?;
    TOTP::new(Algorithm::SHA1, 6, 0, STEP, secret, issuer, account.to_owned()).ok()
}

#[cfg(test)]
pub(super) fn code(secret: &Secret, now: Timestamp) -> String {
    totp(secret.expose(), None, "").unwrap().generate(now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B: the secret "12345678901234567890".
        let secret = Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let step = step(&secret, code, Timestamp::from_secs(seconds));
            assert_eq!(step, i64::try_from(seconds / 30).ok(), "{seconds}");
        }
    }

    #[test]
    fn one_step_back_and_one_ahead() {
        let secret = setup("hexkeep", "alice").unwrap().secret;
        let now = Timestamp::from_secs(30 * 1000);
        let code = code(&secret, now);
        for (seconds, accepted) in [(-31, false), (-30, true), (0, true), (29, true), (59, true), (60, false)] {
            let then = Timestamp::from_secs(30_000_u64.saturating_add_signed(seconds));
            assert_eq!(step(&secret, &code, then), accepted.then_some(1000), "{seconds}");
        }
        assert_eq!(step(&secret, "", now), None);
        let (left, right) = code.split_at(3);
        assert_eq!(step(&secret, left, now), None);
        assert_eq!(step(&secret, &format!("{left} {right}"), now), Some(1000));
    }

    #[test]
    fn the_url_is_for_apps() {
        let setup = setup("my: registry", "alice").unwrap();
        let url = setup.url.expose();
        assert!(url.starts_with("otpauth://totp/") && url.contains(setup.secret.expose()), "{url}");
    }
}
