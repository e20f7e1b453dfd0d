//! An administrator of a server that is measured.

use hexkeep::app::Core;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, Command, KeyCommand, UserCommand};
use hexkeep::state::audit::Actor;

/// Makes an administrator; their key for everything.
pub(crate) async fn key(core: &Core) -> String {
    let order = async |command: Command| core.administer(command, Actor::console()).await.unwrap().text().lines;
    let (name, password) = ("root".to_owned(), None);
    order(UserCommand::Add { name: name.clone(), email: None, full_name: None, password, admin: true }.into()).await;
    let permissions = vec!["api".to_owned(), "repositories".to_owned()];
    let owner = Account::User(name);
    let lines = order(KeyCommand::Create { owner, name: "bench".to_owned(), permissions, days: None }.into()).await;
    lines.first().unwrap().clone()
}
