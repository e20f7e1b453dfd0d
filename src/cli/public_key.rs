//! `hexkeep public-key`

use http::Method;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print, say};
use crate::config::Source;
use crate::operations::public_keys::Key;
use crate::operations::{Failure, Operations as _};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// The key with this id instead of the one that signs
    #[arg(long, value_name = "ID", conflicts_with = "list")]
    id: Option<String>,
    /// List the ids and fingerprints of all keys
    #[arg(long)]
    list: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let keys: Vec<Key> = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.call(Method::POST, "/public-keys", &args.repository).await,
            Access::AtRest(core) => {
                let keys = core.public_keys(args.repository).await;
                core.close().await;
                keys
            }
        }
        .map_err(CommandError::Failure)
    })??;
    if args.list {
        for key in keys {
            print(&format!("{}\t{}", key.id, key.fingerprint));
        }
        return Ok(());
    }
    let wanted = match &args.id {
        None => keys.first(),
        Some(id) => keys.iter().find(|key| key.id == *id),
    };
    let key = wanted.ok_or_else(|| Failure("there is no key with this id; --list shows all".to_owned()))?;
    print(&key.pem);
    say(&key.fingerprint);
    Ok(())
}
