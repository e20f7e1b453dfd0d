//! `hexkeep public-key`

use super::store::ask;
use super::{CommandError, TerminalError, print, say};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::public_keys::Key;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// The key with this id instead of the one that signs
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    id: Option<String>,
    /// List the ids and fingerprints of all keys, and which is in force
    #[arg(long)]
    list: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let public_keys = async |core: &Core, repository| core.public_keys(repository).await;
    let keys: Vec<Key> = ask(source, "/public-keys", args.repository, public_keys)?;
    if args.list {
        // Of upstream's keys any may have signed; of ours the active one does.
        let signs = keys.first().map(|first| first.id.clone());
        for (at, key) in keys.iter().enumerate() {
            let is_in_force = at == 0 || key.is_upstreams() && signs.as_ref() == Some(&key.id);
            let in_force = if is_in_force { "\tin force" } else { "" };
            print(&format!("{}\t{}{in_force}", key.id, key.fingerprint));
        }
        return Ok(());
    }
    let wanted = match &args.id {
        None => keys.first(),
        Some(id) => keys.iter().find(|key| key.id == *id),
    };
    let key = wanted.ok_or(TerminalError::NoKey)?;
    print(&key.pem);
    say(&key.fingerprint);
    Ok(())
}
