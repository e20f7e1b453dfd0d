//! Passwords, where a second factor protects the account.

use hexkeep::clock::Clock as _;
use hexkeep::operations::commands::Account;
use reqwest::Method;
use serde_json::json;

use super::super::support::hub::Hub;
use super::super::support::local::{PASSWORD, basic, basic_with};
use super::{ask, private};

/// Turns on the second factor of a user; its secret in base32.
async fn second_factor(hub: &Hub, name: &str) -> String {
    let accounts = hub.app().core().accounts();
    let setup = accounts.begin_totp(name, "hexkeep").await.unwrap();
    let secret = setup.secret.expose().to_owned();
    accounts.confirm_totp(name, &code(hub, &secret), &Default::default()).await.unwrap();
    hub.clock.advance(std::time::Duration::from_secs(90));
    secret
}

fn code(hub: &Hub, secret: &str) -> String {
    let secret = totp_rs::Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 0, 30, secret, None, String::new()).unwrap();
    totp.generate(hub.clock.now().as_secs())
}

/// What a password alone is answered: reading and writing on the API, and fetching.
async fn tried(hub: &Hub, name: &str, otp: &str) -> Vec<(u16, String)> {
    let header = basic(name);
    let headers = [("authorization", header.as_str()), ("user-agent", "test"), ("x-hex-otp", otp)];
    let mut found = Vec::new();
    for (method, path) in
        [(Method::GET, "/api/users/me"), (Method::DELETE, "/api/keys"), (Method::GET, "/repos/acme/names")]
    {
        let answer = hub.send(method, path, &headers).await;
        found.push((answer.status, answer.text()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_is_no_proof_where_a_second_factor_is_on() {
    let hub = private("").await;
    for name in ["alice", "bob"] {
        hub.member(name, "write").await;
    }
    assert!(
        tried(&hub, "alice", "").await.iter().all(|(status, _)| *status == 200),
        "{:?}",
        tried(&hub, "alice", "").await
    );
    let secret = second_factor(&hub, "alice").await;
    // No client sends a code with a password, so none is heard.
    for otp in [String::new(), code(&hub, &secret)] {
        for (status, text) in tried(&hub, "alice", &otp).await {
            assert!(status == 401 && text.contains("use an API key"), "{status}: {text}");
        }
    }
    assert!(tried(&hub, "bob", "").await.iter().all(|(status, _)| *status == 200), "another account");
    let key = hub.key(Account::User("alice".to_owned()), &["api"]).await;
    assert_eq!(hub.api(Method::GET, "/api/users/me", &key, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_without_its_second_factor_is_told_and_counted_as_a_wrong_one() {
    let hub = private("auth: { rate_limits: { failed_logins: 2 } }\n").await;
    hub.member("alice", "write").await;
    let secret = second_factor(&hub, "alice").await;
    let by_basic = async |password: &str| {
        let answer = hub.api(Method::GET, "/api/users/me", &basic_with("alice", password), None).await;
        (answer.status, answer.header("www-authenticate").to_owned(), answer.text())
    };
    let device = ask(&hub, "api", "laptop").await;
    let user_code = device["user_code"].as_str().unwrap();
    let at_page = async |password: &str, otp: &str| {
        let answer = hub.let_in_with(user_code, ("alice", password), &["api"], otp).await;
        (answer.status, String::new(), answer.text())
    };
    // Each tries one password that may be right and another that is not, and then a third: whichever the first was, the
    // answers are the same, and the third is not heard.
    let next = || hub.clock.advance(std::time::Duration::from_secs(60));
    let mut told = Vec::new();
    for first in ["wrong", PASSWORD] {
        next();
        told.push([by_basic(first).await, by_basic("no").await, by_basic("never").await]);
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0][0] == told[0][1] && told[0][0].2.contains("use an API key"), "{told:?}");
    assert!(told[0][2].2.contains("Too many failed authentication attempts"), "{told:?}");
    let mut told = Vec::new();
    for (first, otp) in [("wrong", ""), (PASSWORD, ""), ("wrong", "000000"), (PASSWORD, "000000")] {
        next();
        told.push([at_page(first, otp).await, at_page("no", otp).await, at_page("never", otp).await]);
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert!(told[0][0].2.contains("or the code is missing") && told[0][2].2.contains("Too many failed"), "{told:?}");
    // One that is right with its code does not count.
    next();
    assert_eq!(by_basic("wrong").await.0, 401);
    assert_eq!(at_page(PASSWORD, &code(&hub, &secret)).await.0, 200);
    assert_eq!(by_basic("no").await.0, 401, "the second that is wrong is heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_second_factor_is_required_no_password_alone_is_proof() {
    let hub = private("auth: { totp: required }\n").await;
    hub.member("alice", "write").await;
    for (status, text) in tried(&hub, "alice", "").await {
        assert!(status == 401 && text.contains("use an API key"), "{status}: {text}");
    }
    // Nor does one let a program in.
    let device = ask(&hub, "api repositories", "laptop").await;
    let user_code = device["user_code"].as_str().unwrap();
    let page = hub.let_in(user_code, "alice", &["repositories"], "").await;
    assert!(page.status == 403 && page.text().contains("/ui/second-factor"), "{}", page.text());
    let secret = second_factor(&hub, "alice").await;
    let page = hub.let_in(user_code, "alice", &["repositories"], &code(&hub, &secret)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(super::poll(&hub, &device).await["scope"], json!("repositories"));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_shut_out_is_not_told_whether_a_password_is_right() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let device = ask(&hub, "api", "laptop").await;
    let user_code = device["user_code"].as_str().unwrap();
    hub.app().core().accounts().deactivate_user("alice", &Default::default()).await.unwrap();
    let mut told = Vec::new();
    for password in [PASSWORD, "wrong"] {
        let mut answers = Vec::new();
        for path in ["/api/users/me", "/repos/acme/names"] {
            let answer = hub.api(Method::GET, path, &basic_with("alice", password), None).await;
            answers.push((answer.status, answer.header("www-authenticate").to_owned(), answer.text()));
        }
        let answer = hub.let_in_with(user_code, ("alice", password), &["api"], "").await;
        answers.push((answer.status, String::new(), answer.text()));
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    let statuses: Vec<u16> = told[0].iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 403], "{told:?}");
}
