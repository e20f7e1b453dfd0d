//! `hexkeep keygen`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{CommandError, TerminalError, print, print_stderr};
use crate::operations::signing_keys::KEY_BITS;
use crate::trust::PrivateKey;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File for the private key (PKCS#8 PEM, mode 0600); an existing file is never overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Size of the key in bits, from 2048 to 8192
    #[arg(long, default_value_t = KEY_BITS, value_name = "BITS")]
    bits: usize,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let key = PrivateKey::generate(args.bits).map_err(TerminalError::from)?;
    let pem = key.to_pem().map_err(TerminalError::from)?;
    write(&args.file, pem.expose()).map_err(|why| TerminalError::Write { path: args.file.clone(), why })?;
    print(key.public().to_spki_pem())?;
    print_stderr(&key.public().fingerprint().to_string());
    Ok(())
}

/// Writes a new file. An existing file may be the only copy of a key, so it is never overwritten.
fn write(path: &Path, pem: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}
