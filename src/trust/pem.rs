//! Reads PEM files with one entry, and defines the errors about keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hex::limits;

/// Why a text contains no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file exceeds [`limits::PEM`].
    #[error("the PEM file has {length} bytes, but at most {max} are allowed")]
    TooLong { length: usize, max: usize },
    /// Nothing between `BEGIN` and `END`: an empty file, or not PEM at all.
    #[error("there is no PEM entry; a line \"-----BEGIN {expected}-----\" is expected")]
    Empty { expected: &'static str },
    /// An entry without its last line, or one inside another.
    #[error("the PEM entry {label:?} has no matching \"-----END {label}-----\" line")]
    Unfinished { label: Box<str> },
    /// Several entries: clients reject such a file.
    #[error("there are {0} PEM entries, but exactly one is expected; use one file or one text for each key")]
    Entries(usize),
    /// A private key instead of a public one.
    #[error("this is a private key; use the public key instead, and keep the private key secret")]
    PrivateKeyGiven,
    /// A public key instead of a private one.
    #[error("this is a public key; a private key is needed to sign")]
    PublicKeyGiven,
    /// A certificate instead of a key.
    #[error("this is a certificate; use its public key instead (openssl x509 -pubkey -noout)")]
    Certificate,
    /// A private key that is encrypted with a pass phrase.
    #[error("this private key is encrypted; remove the pass phrase (openssl pkcs8 -topk8 -nocrypt)")]
    Encrypted,
    /// An entry with any other label.
    #[error("a PEM entry {found:?} is not an RSA key; {expected:?} is expected")]
    Label { found: Box<str>, expected: &'static str },
    /// The text between the first and the last line is not base64.
    #[error("the PEM entry is damaged: its text is not base64")]
    Base64(#[source] base64::DecodeError),
    /// The decoded bytes are not a key.
    #[error("the PEM entry is damaged: it does not decode as a key")]
    Der(#[source] rsa::pkcs8::der::Error),
    /// A key of another algorithm.
    #[error("this is not an RSA key; Hex clients support only RSA")]
    NotRsa,
    /// A key of a size that clients reject.
    #[error("this RSA key has {bits} bits; Hex clients accept {min} to {max}", min = limits::RSA_MIN_BITS, max = limits::RSA_MAX_BITS)]
    Bits { bits: usize },
    /// Numbers that do not form a valid key.
    #[error("this RSA key is invalid: its components do not match each other")]
    Rejected(#[source] aws_lc_rs::error::KeyRejected),
    /// The key generation failed.
    #[error("cannot generate an RSA key")]
    Generate(#[source] rsa::Error),
}

/// Returns the label and the decoded bytes of the only entry in `text`. Text around the entry is ignored, as in
/// clients.
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
        // The old format of encrypted keys has headers before the base64 text.
        "RSA PRIVATE KEY" if body.starts_with("Proc-Type:") => Err(KeyError::Encrypted),
        _ => Ok((label, STANDARD.decode(body).map_err(KeyError::Base64)?)),
    }
}

fn boundary<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_prefix(kind)?.strip_prefix(' ')?.strip_suffix("-----")
}
