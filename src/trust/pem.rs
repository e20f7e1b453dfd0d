//! The one entry of a PEM file, and what can be wrong with a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hex::limits;

/// Why a text holds no key of ours to use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Longer than [`limits::PEM`].
    #[error("a PEM file has at most {max} bytes, this one has {length}")]
    TooLong { length: usize, max: usize },
    /// Nothing between `BEGIN` and `END`: an empty file, or not PEM at all.
    #[error("there is no PEM entry: a line \"-----BEGIN {expected}-----\" is expected")]
    Empty { expected: &'static str },
    /// An entry without its last line, or one inside another.
    #[error("the PEM entry {label:?} has no matching \"-----END {label}-----\" line")]
    Unfinished { label: Box<str> },
    /// Clients take a file with two keys for a broken one.
    #[error("there are {0} PEM entries where exactly one is expected; list several keys one by one")]
    Entries(usize),
    /// A private key where a public one belongs.
    #[error("this is a private key; give the public key, and keep this file to yourself")]
    PrivateKeyGiven,
    /// A public key where a private one belongs.
    #[error("this is a public key; a private key is needed to sign")]
    PublicKeyGiven,
    /// A certificate where a key belongs.
    #[error("this is a certificate; give the bare key (openssl x509 -pubkey -noout)")]
    Certificate,
    /// A private key under a pass phrase.
    #[error("this private key is encrypted; remove the pass phrase (openssl pkcs8 -topk8 -nocrypt)")]
    Encrypted,
    /// Any other kind of entry.
    #[error("a PEM entry {found:?} is no RSA key: {expected:?} is expected")]
    Label { found: Box<str>, expected: &'static str },
    /// The text between the lines.
    #[error("the PEM entry is damaged: its text is not base64")]
    Base64(#[source] base64::DecodeError),
    /// The bytes that the text stands for.
    #[error("the PEM entry is damaged: it does not decode as a key")]
    Der(#[source] rsa::pkcs8::der::Error),
    /// A key of another algorithm.
    #[error("this is not an RSA key; Hex clients verify with RSA alone")]
    NotRsa,
    /// A modulus that clients refuse.
    #[error("this RSA key has {bits} bits; Hex clients accept {min} to {max}", min = limits::RSA_MIN_BITS, max = limits::RSA_MAX_BITS)]
    Bits { bits: usize },
    /// Numbers that make no key.
    #[error("this RSA key cannot be used: its numbers do not belong together")]
    Rejected(#[source] aws_lc_rs::error::KeyRejected),
    /// No randomness, or a size that cannot be made.
    #[error("no RSA key could be generated")]
    Generate(#[source] rsa::Error),
}

/// The label and the decoded bytes of the single entry in `text`. Text around the entry is ignored, as clients do.
pub(super) fn single_entry<'a>(text: &'a str, expected: &'static str) -> Result<(&'a str, Vec<u8>), KeyError> {
    if text.len() > limits::PEM {
        return Err(KeyError::TooLong { length: text.len(), max: limits::PEM });
    }
    let mut entries = 0_usize;
    let mut first = None;
    let mut open: Option<(&str, String)> = None;
    for line in text.lines().map(str::trim) {
        match (open.take(), boundary(line, "BEGIN"), boundary(line, "END")) {
            (None, Some(label), _) => open = Some((label, String::new())),
            (Some((label, body)), None, Some(end)) if end == label => {
                entries += 1;
                first.get_or_insert((label, body));
            }
            (Some((label, mut body)), None, None) => {
                body.extend(line.chars().filter(|char| !char.is_ascii_whitespace()));
                open = Some((label, body));
            }
            (Some((label, _)), ..) => return Err(KeyError::Unfinished { label: label.into() }),
            (None, None, _) => {}
        }
    }
    if let Some((label, _)) = open {
        return Err(KeyError::Unfinished { label: label.into() });
    }
    let (label, body) = first.ok_or(KeyError::Empty { expected })?;
    if entries > 1 {
        return Err(KeyError::Entries(entries));
    }
    match label {
        "CERTIFICATE" => Err(KeyError::Certificate),
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
        // The old way to encrypt puts headers before the base64 text.
        "RSA PRIVATE KEY" if body.starts_with("Proc-Type:") => Err(KeyError::Encrypted),
        _ => Ok((label, STANDARD.decode(body).map_err(KeyError::Base64)?)),
    }
}

fn boundary<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_prefix(kind)?.strip_prefix(' ')?.strip_suffix("-----")
}
