//! `hexkeep public-key`

use super::store::request;
use super::{CommandError, TerminalError, print, print_stderr};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::public_keys::Key;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Print the key with this id instead of the active key
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    id: Option<String>,
    /// List the ids and fingerprints of all keys, and mark the active key
    #[arg(long)]
    list: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let public_keys = async |core: &Core, repository| core.public_keys(repository).await;
    let keys: Vec<Key> = request(source, "/public-keys", args.repository, public_keys)?;
    if args.list {
        // Any of the upstream's keys may have signed. Of this server's keys, only the active one signs.
        let signs = keys.first().map(|first| first.id.clone());
        for (at, key) in keys.iter().enumerate() {
            let is_active = at == 0 || key.is_upstreams() && signs.as_ref() == Some(&key.id);
            let active = if is_active { "\tactive" } else { "" };
            print(&format!("{}\t{}{active}", key.id, key.fingerprint))?;
        }
        return Ok(());
    }
    let wanted = match &args.id {
        None => keys.first(),
        Some(id) => keys.iter().find(|key| key.id == *id),
    };
    let key = wanted.ok_or(TerminalError::NoKey)?;
    print(&key.pem)?;
    print_stderr(&key.fingerprint);
    Ok(())
}
