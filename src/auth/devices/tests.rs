//! Tests of the device flow: the names of programs, and approval.

use super::*;
use crate::auth::testing::{Fixture, PASSWORD, address, fixture, scope};
use crate::auth::{AccountOptions, TotpMode};

async fn ask(here: &Fixture) -> DeviceAuthorization {
    here.accounts.device_authorization(Some(MIX), Some("api"), None, address()).await.unwrap()
}

#[tokio::test]
async fn user_codes_cannot_be_guessed() {
    let here = fixture(AccountOptions::default()).await;
    for _ in 0..30 {
        let answer = here.accounts.device_request("BBBBBBBB", address()).await;
        assert!(matches!(answer, Err(DeviceError::Unknown)));
    }
    let device = ask(&here).await;
    let answer = here.accounts.device_request(&device.user_code, address()).await;
    assert!(matches!(answer, Err(DeviceError::Throttled)));
    here.clock.advance(Duration::from_secs(15 * 60));
    let device = ask(&here).await;
    for _ in 0..40 {
        here.accounts.device_request(&device.user_code, address()).await.unwrap();
    }
    let letters: std::collections::BTreeSet<char> =
        (0..100).flat_map(|_| user_code().unwrap().chars().collect::<Vec<_>>()).collect();
    assert_eq!(letters.into_iter().collect::<String>(), "23456789BCDFGHJKLMNPQRSTVWXYZ");
}

#[tokio::test]
async fn nobody_lets_a_device_in_without_the_second_factor_that_is_required() {
    let here = fixture(AccountOptions { totp: TotpMode::Required, ..AccountOptions::default() }).await;
    here.user("alice").await;
    let device = ask(&here).await;
    let alice = here.accounts.login("alice", PASSWORD, None, (address(), None)).await.unwrap();
    let answer = here.accounts.approve_device(&device.user_code, &alice, &scope("api:read"), address()).await;
    assert!(matches!(answer, Err(DeviceError::SecondFactorNotSetUp)));
    here.accounts.deny_device(&device.user_code, &alice, address()).await.unwrap();
}

#[test]
fn what_a_program_says_of_itself_disguises_nothing() {
    for (text, shown) in [
        ("Ada's laptop", "Ada's laptop"),
        ("läptop 二", "läptop 二"),
        ("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c"),
        ("a\nb\tc\0", "a\\nb\\tc\\0"),
        ("\u{3164}\u{2800}", "\\u{3164}\\u{2800}"),
        ("\u{feff}\u{e0041}\u{a0}", "\\u{feff}\\u{e0041}\\u{a0}"),
    ] {
        assert_eq!(display_name(text), shown);
    }
    assert_eq!(display_name(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
    assert_eq!(display_name(&"x".repeat(64)), "x".repeat(64));
}
