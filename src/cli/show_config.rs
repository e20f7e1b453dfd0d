//! `hexkeep show-config`

use http::Method;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print};
use crate::admin::Operations as _;
use crate::config::Source;

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let text = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.call::<String>(Method::GET, "/config", &()).await,
            Access::AtRest(core) => {
                let text = core.show_config().await;
                core.close().await;
                text
            }
        }
        .map_err(CommandError::Failure)
    })??;
    print(&text);
    Ok(())
}
