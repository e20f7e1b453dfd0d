//! Tests of sealed resources: their bytes never change, and they verify.

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::message;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::trust::{ENCODER_ID, Origin, verify};

const PRIVATE: &str = include_str!("../testdata/test-only-key.pem");

fn signer() -> Signer {
    Signer::new(&PrivateKey::from_pem(PRIVATE).unwrap()).unwrap()
}

fn package() -> message::Package {
    let release = |version: &str, byte| message::Release {
        version: version.into(),
        inner_checksum: vec![byte; 32],
        outer_checksum: Some(vec![byte + 1; 32]),
        dependencies: vec![message::Dependency {
            package: "bar".into(),
            requirement: "~> 1.0".into(),
            app: Some("baz".into()),
            ..Default::default()
        }],
        retired: Some(message::RetirementStatus { reason: 3, message: Some("use 1.1".into()) }),
        published_at: Some(message::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        ..Default::default()
    };
    message::Package {
        name: "foo".into(),
        repository: "acme".into(),
        releases: vec![release("1.0.0", 1), release("1.1.0-rc.1", 3)],
        advisories: vec![],
    }
}

/// Fails if a dependency, a compression level or a header changes the sealed bytes of a payload. Such a change needs a
/// new `ENCODER_ID`, or caches mix old and new bytes.
#[test]
fn sealed_bytes_are_pinned() {
    // Long and varied enough for several segments and blocks and every kind of match.
    let payload: String = (0..20_000_u64).map(|n| format!("{} {:x}\n", n * n, n * 7919)).collect();
    let payload = payload.into_bytes();
    let sealed = signer().seal(&payload).unwrap();
    assert_eq!(&sealed.body()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    assert_eq!(Sha256::of(&payload).to_string(), "21369bdf413ab88b08a89c7b1be289608f28f4e911b8364f4e330f9de852025f");
    assert_eq!(sealed.body().len(), 169393);
    assert_eq!(sealed.etag(), "\"7b3fc77831f6efcdbd5465e3adf1a669e8b88859d16b6430decf81bb2a895c03\"");
    assert_eq!(ENCODER_ID, "gzip-segments-1-miniz_oxide-0.9.1-level-6");
    assert!(include_str!("../../../Cargo.toml").contains("\nminiz_oxide = \"=0.9.1\"\n"));
}

#[test]
fn what_is_sealed_verifies_under_its_own_key_alone() {
    let signer = signer();
    let sealed = signer.seal(&package().encode_to_vec()).unwrap();
    let repository: RepoName = "acme".parse().unwrap();
    let resource = RegistryResource::Package("foo".parse().unwrap());
    let origin = Origin { repository: &repository, resource: &resource };
    let open = || Envelope::open(sealed.body().clone(), resource.max_payload()).unwrap();

    let verified = verify(open(), &[PublicKey::hexpm(), signer.public_key().clone()], &origin).unwrap();
    assert_eq!(verified.key(), signer.fingerprint());
    assert_eq!(verified.pass_through(), sealed);
    assert!(verify(open(), &[PublicKey::hexpm()], &origin).is_err());
}

/// Uses the Hex client of Gleam, which has independent implementations of protobuf, gzip and RSA.
#[test]
fn another_client_reads_what_is_sealed() {
    let signer = signer();
    let response = http::Response::new(signer.seal(&package().encode_to_vec()).unwrap().body().to_vec());
    let key = signer.public_key().to_spki_pem().as_bytes();
    let theirs = hexpm::repository_v2_get_package_response(response, key).unwrap();
    assert_eq!((theirs.name.as_str(), theirs.repository.as_str()), ("foo", "acme"));
    let versions: Vec<_> = theirs.releases.iter().map(|release| release.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0-rc.1"]);
    assert_eq!(theirs.releases[0].outer_checksum, [2; 32]);
    assert!(theirs.releases[0].is_retired());

    let response = http::Response::new(signer.seal(&package().encode_to_vec()).unwrap().body().to_vec());
    let foreign = PublicKey::hexpm();
    assert!(hexpm::repository_v2_get_package_response(response, foreign.to_spki_pem().as_bytes()).is_err());
}

#[test]
fn another_key_of_ours_seals_the_same_payload_and_nobody_elses() {
    let (active, old) = (signer(), Signer::new(&PrivateKey::generate(2048).unwrap()).unwrap());
    let payload = package().encode_to_vec();
    let sealed = active.seal(&payload).unwrap();
    assert_eq!(old.seal_again(&sealed, active.public_key()).unwrap(), old.seal(&payload).unwrap());
    let foreign = old.seal_again(&sealed, old.public_key());
    assert!(matches!(foreign, Err(SignError::Foreign(key)) if key == *old.fingerprint()));
}

#[test]
fn a_payload_beyond_the_limit_is_not_signed() {
    let payload = vec![0; limits::BULK_PAYLOAD + 1];
    assert!(matches!(signer().seal(&payload), Err(SignError::TooLarge { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn opening_undoes_sealing(payload in prop::collection::vec(any::<u8>(), 0..4096)) {
        let signer = signer();
        let sealed = signer.seal(&payload).unwrap();
        let again = signer.seal(&payload).unwrap();
        prop_assert_eq!(sealed.body(), again.body());
        let envelope = Envelope::open(sealed.body().clone(), limits::BULK_PAYLOAD).unwrap();
        prop_assert_eq!(envelope.payload, payload);
        prop_assert_eq!(envelope.signature.len(), 256);
    }
}
