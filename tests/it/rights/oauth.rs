//! What OAuth answers to requests that cannot be read (RFC 6749, §5.2).

use bytes::Bytes;
use reqwest::Method;

use super::{MIX, private};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_in_the_words_of_oauth() {
    let hub = private("").await;
    let form = "application/x-www-form-urlencoded";
    let twice = format!("grant_type=client_credentials&client_id={MIX}&client_secret=x&client_secret=y");
    let twice_json = format!("{{\"client_id\": \"{MIX}\", \"scope\": \"api\", \"scope\": \"api:read\"}}");
    for path in ["device_authorization", "token", "revoke", "revoke_by_hash"] {
        for (content_type, body) in [
            (form, twice.as_str()),
            (form, "token=a&token=b"),
            ("application/json", twice_json.as_str()),
            ("application/json", "{"),
            ("application/vnd.hex+erlang", "no term"),
        ] {
            let body = Some(Bytes::from(body.to_owned()));
            let answer = hub.call(Method::POST, &format!("/api/oauth/{path}"), "", content_type, body).await;
            assert_eq!(answer.status, 400, "{path} {content_type}: {}", answer.text());
            assert_eq!(answer.json()["error"], "invalid_request", "{path} {content_type}: {}", answer.text());
            assert!(answer.json()["error_description"].is_string(), "{}", answer.text());
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}
