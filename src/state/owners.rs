//! Changes of the owners of packages in local repositories. Each change is decided inside its transaction, by the
//! owners at that time.

use std::collections::BTreeMap;

use super::audit::{Action, Actor};
use super::engine::sql;
use super::packages::OwnerLevel;
use super::releases::Subject;
use super::{Lock, State, StateError};
use crate::clock::Timestamp;

/// The owners of a package: user name → level.
pub type Owners = BTreeMap<String, OwnerLevel>;

impl State {
    /// Makes a user an owner of a package, or changes the level; with `transfer`, removes all other owners. `decide`
    /// may refuse the change. Returns whether the package exists.
    pub async fn set_owner<R>(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        owner: (&str, OwnerLevel),
        transfer: bool,
        by: &Actor,
        decide: impl Fn(&Owners) -> Result<(), R>,
    ) -> Result<Result<bool, R>, StateError> {
        let (repository, name, _) = subject;
        let (username, level) = owner;
        let decide = &decide;
        self.writing("set an owner", Lock::Repository(repository), |mut writing| async move {
            let Some(package) = writing.present_package(repository, name).await? else { return Ok(Ok(false)) };
            let owners = writing.owners(package).await?;
            if let Err(refused) = decide(&owners) {
                return Ok(Err(refused));
            }
            if transfer {
                writing.run(sql("DELETE FROM owners WHERE package_id = $1").bind(package)).await?;
            }
            writing.own(package, username, level).await?;
            let action = match (transfer, owners.contains_key(username)) {
                (true, _) => Action::OwnerTransfer,
                (false, true) => Action::OwnerUpdate,
                (false, false) => Action::OwnerAdd,
            };
            writing.log_change(now, action, subject, &format!("{username}, {}", level.as_str()), by).await?;
            writing.commit().await?;
            Ok(Ok(true))
        })
        .await
    }

    /// Transfers a package to the organization `to`: removes all user owners. Returns whether the package exists.
    pub async fn disown(&self, now: Timestamp, subject: Subject<'_>, to: &str, by: &Actor) -> Result<bool, StateError> {
        let (repository, name, _) = subject;
        self.writing("transfer a package", Lock::Repository(repository), |mut writing| async move {
            let Some(package) = writing.present_package(repository, name).await? else { return Ok(false) };
            writing.run(sql("DELETE FROM owners WHERE package_id = $1").bind(package)).await?;
            writing.log_change(now, Action::OwnerTransfer, subject, &format!("{to}, full"), by).await?;
            writing.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Removes an owner of a package. `decide` may refuse the change. Returns whether the package exists.
    pub async fn remove_owner<R>(
        &self,
        now: Timestamp,
        subject: Subject<'_>,
        username: &str,
        by: &Actor,
        decide: impl Fn(&Owners) -> Result<(), R>,
    ) -> Result<Result<bool, R>, StateError> {
        let (repository, name, _) = subject;
        let decide = &decide;
        self.writing("remove an owner", Lock::Repository(repository), |mut writing| async move {
            let Some(package) = writing.present_package(repository, name).await? else { return Ok(Ok(false)) };
            if let Err(refused) = decide(&writing.owners(package).await?) {
                return Ok(Err(refused));
            }
            let remove = sql("DELETE FROM owners WHERE package_id = $1 AND username = $2");
            writing.run(remove.bind(package).bind(username)).await?;
            writing.log_change(now, Action::OwnerRemove, subject, username, by).await?;
            writing.commit().await?;
            Ok(Ok(true))
        })
        .await
    }
}
