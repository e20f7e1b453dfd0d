//! Tests of URLs, redirects and headers of one request.

use super::*;
use crate::clock::SystemClock;

fn upstream(url: &str) -> HttpUpstream {
    HttpUpstream::new(&UpstreamOptions::new(url), Arc::new(SystemClock)).unwrap()
}

#[test]
fn paths_are_appended_below_the_base() {
    for (base, path, expected) in [
        ("https://host.test", "names", "https://host.test/names"),
        ("https://host.test/", "names", "https://host.test/names"),
        ("https://host.test/repos/acme", "packages/jason", "https://host.test/repos/acme/packages/jason"),
        ("https://host.test/repos/acme/", "names", "https://host.test/repos/acme/names"),
        ("https://host.test", "tarballs/a-1.0.0+b.tar", "https://host.test/tarballs/a-1.0.0+b.tar"),
        ("https://host.test/repos/acme", "../../x", "https://host.test/repos/acme/x"),
        ("https://host.test", "a?b#c%2e", "https://host.test/a%3Fb%23c%252e"),
        ("https://host.test", "//evil.test/x", "https://host.test/evil.test/x"),
    ] {
        assert_eq!(upstream(base).url_of(&UpstreamRequest::get(path, 1)).as_str(), expected, "{base} {path}");
    }
}

#[test]
fn a_redirect_may_not_lower_the_guard() {
    let from = Url::parse("https://host.test/a/b").unwrap();
    let hop = |locations: &[&'static str]| {
        let headers = locations.iter().map(|text| (LOCATION, HeaderValue::from_static(text))).collect();
        next_hop(&from, &headers).map(|url| url.to_string())
    };
    assert_eq!(hop(&["c"]), Ok("https://host.test/a/c".into()));
    assert_eq!(hop(&["/c?x=1"]), Ok("https://host.test/c?x=1".into()));
    assert_eq!(hop(&["//other.test/c"]), Ok("https://other.test/c".into()));
    assert_eq!(hop(&["https://other.test/c"]), Ok("https://other.test/c".into()));
    assert_eq!(hop(&["http://host.test/c"]), Err(RedirectProblem::Downgrade));
    assert_eq!(hop(&["https://user:pass@host.test/c"]), Err(RedirectProblem::UserInfo));
    assert_eq!(hop(&["file:///etc/passwd"]), Err(RedirectProblem::Scheme));
    assert_eq!(hop(&["https://"]), Err(RedirectProblem::Location));
    assert_eq!(hop(&[]), Err(RedirectProblem::Location));
    assert_eq!(hop(&["/a", "/b"]), Err(RedirectProblem::Location));
    let plain = Url::parse("http://host.test/a").unwrap();
    let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("http://host.test/b"))]);
    assert!(next_hop(&plain, &headers).is_ok());
}

#[test]
fn a_validator_that_cannot_be_sent_permits_no_304() {
    let mut request = UpstreamRequest { etag: Some("\"a\nb\"".into()), ..UpstreamRequest::get("names", 1) };
    assert!(!RequestHeaders::of(&request).validator);
    request.etag = Some("\"a\"".into());
    assert!(RequestHeaders::of(&request).validator);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let refuse = |options: UpstreamOptions| HttpUpstream::new(&options, Arc::new(SystemClock)).unwrap_err();
    let plain = || UpstreamOptions::new("https://host.test");
    assert!(matches!(refuse(UpstreamOptions { concurrency: 0, ..plain() }), BuildError::Concurrency));
    assert!(matches!(refuse(UpstreamOptions { user_agent: "\n".into(), ..plain() }), BuildError::UserAgent));
    for pem in [b"".to_vec(), b"nonsense".to_vec()] {
        assert!(matches!(refuse(UpstreamOptions { ca_file: Some(pem.clone()), ..plain() }), BuildError::CaFile(_)));
        let error = refuse(UpstreamOptions { client_cert: Some(pem), ..plain() });
        assert!(matches!(error, BuildError::ClientCert(_)));
    }
}
