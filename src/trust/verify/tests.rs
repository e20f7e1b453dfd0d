//! Tests of resources that verify, and of resources that must be rejected.

use std::path::Path;

use super::*;
use crate::hex::testdata;
use crate::trust::{PrivateKey, Signer};

const PRIVATE: &str = include_str!("../testdata/test-only-key.pem");

fn resource(path: &str) -> RegistryResource {
    match path.split_once('/') {
        Some(("packages", name)) => RegistryResource::Package(name.parse().unwrap()),
        Some(("policies", name)) => RegistryResource::Policy(name.parse().unwrap()),
        _ if path == "names" => RegistryResource::Names,
        _ => RegistryResource::Versions,
    }
}

fn check(gzip: Vec<u8>, key: &PublicKey, repository: &str, path: &str) -> Result<Verified, VerifyError> {
    let (repository, resource) = (repository.parse().unwrap(), resource(path));
    let envelope = Envelope::open(gzip.into(), resource.max_payload()).unwrap();
    verify(envelope, std::slice::from_ref(key), &Origin { repository: &repository, resource: &resource })
}

fn reason(result: Result<Verified, VerifyError>) -> &'static str {
    result.map_or_else(|error| error.reason(), |_| "verified")
}

#[test]
fn hex_pms_own_resources_verify() {
    let Some(gzip) = testdata::read("hexpm/versions") else { return };
    let verified = check(gzip.clone(), &PublicKey::hexpm(), "hexpm", "versions").unwrap();
    let Index::Versions(index) = verified.index() else { panic!("{:?}", verified.index()) };
    assert_eq!((index.packages, index.releases), (10_147, 59_372));
    let passed = verified.pass_through();
    assert_eq!(passed.body(), &gzip);
    assert_eq!(passed.etag(), format!("\"{}\"", passed.digest()));
    assert_eq!(passed, verified.pass_through());

    let Some(gzip) = testdata::read("hexpm/packages/exfmt") else { return };
    let verified = check(gzip, &PublicKey::hexpm(), "hexpm", "packages/exfmt").unwrap();
    let package = verified.index().as_package().unwrap();
    assert_eq!(package.releases.len(), 10);
    assert!(package.releases.iter().all(|release| release.inner.is_some()));
    assert!(package.release(&"0.5.0".parse().unwrap()).is_some());
    assert!(package.release(&"9.9.9".parse().unwrap()).is_none());
    assert_eq!(verified.key(), PublicKey::hexpm().fingerprint());
}

#[test]
fn another_registry_verifies_under_its_own_key_alone() {
    let Some(pem) = testdata::read("other-key/public_key") else { return };
    let key = PublicKey::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
    for path in ["names", "versions", "packages/jason"] {
        let gzip = testdata::read(&format!("other-key/{path}")).unwrap();
        assert_eq!(reason(check(gzip.clone(), &key, "dependabot", path)), "verified", "{path}");
        assert_eq!(reason(check(gzip.clone(), &key, "hexpm", path)), "wrong_repository", "{path}");
        assert_eq!(reason(check(gzip, &PublicKey::hexpm(), "dependabot", path)), "bad_signature", "{path}");
    }
    // The tarballs of the release have the checksums that the index lists.
    let gzip = testdata::read("other-key/packages/jason").unwrap();
    let verified = check(gzip, &key, "dependabot", "packages/jason").unwrap();
    for version in ["1.0.0", "1.1.0"] {
        let tarball = testdata::read(&format!("other-key/tarballs/jason-{version}.tar")).unwrap();
        let release = verified.index().as_package().unwrap().release(&version.parse().unwrap()).unwrap();
        assert_eq!(release.inner, Some(crate::hex::tarball::inner_checksum(&tarball[..]).unwrap()));
        assert!(release.outer.is_none_or(|outer| outer == crate::hex::checksum::Sha256::of(&tarball)));
    }
}

/// A package `foo` of `acme`: one release without checksums.
const FOO: &[u8] = b"\x0a\x07\x0a\x051.0.0\x12\x03foo\x1a\x04acme";

fn signer() -> Signer {
    Signer::new(&PrivateKey::from_pem(PRIVATE).unwrap()).unwrap()
}

fn check_payload(payload: &[u8], repository: &str, path: &str) -> Result<Verified, VerifyError> {
    let signer = signer();
    check(signer.seal(payload).unwrap().body().to_vec(), signer.public_key(), repository, path)
}

#[test]
fn signed_answers_to_other_questions_are_refused() {
    assert_eq!(reason(check_payload(FOO, "acme", "packages/foo")), "verified");
    assert_eq!(reason(check_payload(FOO, "acme", "packages/bar")), "wrong_name");
    assert_eq!(reason(check_payload(FOO, "hexpm", "packages/foo")), "wrong_repository");
    // If both are wrong, the error is about the repository, as in clients.
    assert_eq!(reason(check_payload(FOO, "hexpm", "packages/bar")), "wrong_repository");
    assert_eq!(reason(check_payload(&FOO[..9], "acme", "packages/foo")), "bad_schema");
    assert_eq!(reason(check_payload(b"", "acme", "names")), "bad_schema");
    assert_eq!(reason(check_payload(b"\xff", "acme", "packages/foo")), "bad_schema");

    let error = check_payload(FOO, "acme", "packages/bar").unwrap_err();
    assert_eq!(error.to_string(), "the signed payload is about \"foo\", but \"bar\" was requested");
}

#[test]
fn one_changed_bit_anywhere_is_a_bad_signature() {
    let signer = signer();
    let (repository, resource) = ("acme".parse().unwrap(), resource("packages/foo"));
    let origin = Origin { repository: &repository, resource: &resource };
    let whole = Envelope::open(signer.seal(FOO).unwrap().body().clone(), 1000).unwrap();
    for place in 0..whole.payload.len() {
        let mut payload = whole.payload.to_vec();
        payload[place] ^= 1;
        let envelope = Envelope { payload: payload.into(), ..whole.clone() };
        assert_eq!(reason(verify(envelope, &[signer.public_key().clone()], &origin)), "bad_signature", "{place}");
    }
    let mut signature = whole.signature.to_vec();
    signature[100] ^= 1;
    for signature in [signature, whole.signature[1..].to_vec(), vec![0; 256], vec![1]] {
        let envelope = Envelope { signature: signature.into(), ..whole.clone() };
        assert_eq!(reason(verify(envelope, &[signer.public_key().clone()], &origin)), "bad_signature");
    }
    assert_eq!(reason(verify(whole.clone(), &[], &origin)), "bad_signature");
}

#[test]
fn nobody_else_verifies_or_signs() {
    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
                found.push((name.to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut all);
    let users = |word: &str| {
        let mut users: Vec<_> = all.iter().filter(|(_, text)| text.contains(word)).map(|(name, _)| &**name).collect();
        users.sort_unstable();
        users
    };
    assert_eq!(users(concat!("verify_", "digest_sig")), ["trust/verify.rs"]);
    assert_eq!(users(concat!("RSA_PKCS1_", "SHA512")), ["trust/signer.rs"]);
    assert_eq!(users(concat!("Parsed", "PublicKey")), ["trust/public_key.rs"]);
    assert_eq!(users(concat!("SignedResource", "::new(")), ["trust/signer.rs", "trust/verify.rs"]);
    for word in [
        concat!("verify_", "sig("),
        concat!("Unparsed", "PublicKey"),
        concat!("Pkcs1v15", "Sign"),
        concat!("Signing", "Key<"),
    ] {
        assert_eq!(users(word), [""; 0], "{word}");
    }
}
