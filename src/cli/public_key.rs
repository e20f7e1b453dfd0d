//! `hexkeep public-key`

use http::Method;

use super::store::{Access, access};
use super::{CommandError, TerminalError, block_on, load, print, say};
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
    /// List the ids and fingerprints of all keys
    #[arg(long)]
    list: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let keys: Vec<Key> = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => Ok(daemon.call(Method::POST, "/public-keys", &args.repository).await?),
            Access::AtRest(core) => {
                let keys = core.public_keys(args.repository).await;
                core.close().await;
                Ok::<_, CommandError>(keys?)
            }
        }
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
    let key = wanted.ok_or(TerminalError::NoKey)?;
    print(&key.pem);
    say(&key.fingerprint);
    Ok(())
}
