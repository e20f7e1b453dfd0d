//! What hex.pm itself has signed, where it is at hand (see `HEXKEEP_TEST_DATA`).

use std::path::PathBuf;

use super::support::hub::{Hub, Wishes};

const RESOURCES: [&str; 2] = ["versions", "packages/exfmt"];

/// A file of the folder of real data; says so where there is none.
fn real(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("HEXKEEP_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/testdata")), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no real data in {} (set HEXKEEP_TEST_DATA)", folder.display());
        return None;
    }
    let file = folder.join("hexpm").join(path);
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// A daemon with a repository that has the key of hex.pm, at `/repos/real`.
async fn hub() -> Hub {
    let real = "real: { type: remote, name: hexpm, url: \"{url}\", public_key: hexpm }".to_owned();
    Hub::with(Wishes { more: vec![real], ..Wishes::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hex_pm_signed_passes_through_byte_for_byte() {
    let mut hub = hub().await;
    for path in RESOURCES {
        let Some(bytes) = real(path) else { return };
        hub.upstream.serve(&format!("/{path}"), bytes.clone());
        let answer = hub.get(&format!("/repos/real/{path}")).await;
        assert_eq!((answer.status, answer.cache()), (200, "miss"), "{path}: {}", answer.text());
        assert_eq!(answer.body, bytes, "{path}");
    }
    hub.upstream.switch_off().await;
    hub.restart().await;
    for path in RESOURCES {
        let Some(bytes) = real(path) else { return };
        let answer = hub.get(&format!("/repos/real/{path}")).await;
        assert_eq!((answer.cache(), &answer.body[..]), ("hit", &bytes[..]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_is_refused() {
    let hub = hub().await;
    for path in RESOURCES {
        let Some(bytes) = real(path) else { return };
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        hub.upstream.serve(&format!("/{path}"), flipped);
        let answer = hub.get(&format!("/repos/real/{path}")).await;
        assert_eq!((answer.status, answer.cache()), (502, ""), "{path}");
    }
    assert_eq!(hub.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_of_what_was_signed_is_refused() {
    let hub = hub().await;
    for path in RESOURCES {
        let Some(bytes) = real(path) else { return };
        let mut signed = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut signed).unwrap();
        let middle = signed.len() / 2;
        signed[middle] ^= 1;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &signed).unwrap();
        hub.upstream.serve(&format!("/{path}"), encoder.finish().unwrap());
        let answer = hub.get(&format!("/repos/real/{path}")).await;
        assert_eq!((answer.status, answer.cache()), (502, ""), "{path}");
    }
    let refused = "hexkeep_untrusted_total{repository=\"real\",reason=\"bad_signature\"}";
    assert_eq!(hub.metric(refused).await, 2.0);
    assert_eq!(hub.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hex_pm_has_not_signed_for_a_repository_of_another_name() {
    let other = "other: { type: remote, name: acme, url: \"{url}\", public_key: hexpm }".to_owned();
    let hub = Hub::with(Wishes { more: vec![other], ..Wishes::default() }).await;
    for path in RESOURCES {
        let Some(bytes) = real(path) else { return };
        hub.upstream.serve(&format!("/{path}"), bytes);
        assert_eq!(hub.get(&format!("/repos/other/{path}")).await.status, 502, "{path}");
    }
}
