//! An upstream's lists of installers, signed with the key that is made for tests.

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::registry::TEST_KEY;
use super::upstream::ScriptedUpstream;

/// SHA-512 as the lists write it.
pub(crate) fn sha512(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA512, bytes))
}

/// The signature of a list as `openssl base64` writes it: lines of 64 characters.
pub(crate) fn sign(list: &str) -> String {
    let body: String = TEST_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), list.as_bytes(), &mut signature).unwrap();
    let text = STANDARD.encode(signature);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

/// Puts a list and its signature where Mix asks for them.
pub(crate) fn serve_signed(upstream: &ScriptedUpstream, path: &str, list: &str) {
    upstream.serve(path, list.to_owned());
    upstream.serve(&format!("{path}.signed"), sign(list));
}
