//! Orders about keys.

use std::time::Duration;

use crate::auth::{Caller, Key, NewKey, Owner, Permission, Permissions, shown};
use crate::clock::Timestamp;
use crate::operations::commands::{Account, Outcome};
use crate::operations::operator::Operator;
use crate::operations::{Failure, failure};
use crate::state::audit::By;

const DAY: u64 = 24 * 3600;

impl Operator {
    pub(super) async fn create_key(
        &self,
        account: &Account,
        name: String,
        permissions: &[String],
        days: Option<u64>,
        by: &By,
    ) -> Result<Outcome, Failure> {
        let owner = self.owner(account).await?;
        let permissions = read_permissions(permissions)?;
        let end = |days: u64| self.shared.clock.now().plus(Duration::from_secs(days.saturating_mul(DAY)));
        let new = NewKey { owner, name, permissions: permissions.clone(), revoke_at: days.map(end) };
        let (secret, key) = self.accounts().create_key(new, None, by).await.map_err(failure)?;
        let mut remarks = vec![format!("the key is called {}; it is shown this once", shown(&key.name))];
        remarks.extend(self.good_for_nothing(owner, &permissions).await?);
        Ok(Outcome { remarks, ..Outcome::line(secret.expose()) })
    }

    /// A sentence for each permission that opens nothing as things are. It is given all the same: the repository may be
    /// configured, and the right given, later.
    async fn good_for_nothing(&self, owner: Owner, permissions: &Permissions) -> Result<Vec<String>, Failure> {
        let Some(principal) = self.accounts().principal_of(owner).await.map_err(failure)? else {
            return Ok(Vec::new());
        };
        let account = principal.by().actor.unwrap_or_default();
        let caller = Caller::Known(principal);
        let repositories = self.repositories();
        let mut remarks = Vec::new();
        for permission in permissions.iter() {
            let (Permission::Repository(place) | Permission::Docs(place) | Permission::Package(Some(place))) =
                permission
            else {
                continue;
            };
            let wanted = place.split('/').next().unwrap_or(place);
            let called = |one: &&crate::repository::Repository| {
                one.key().as_str() == wanted || one.access().organization() == Some(wanted)
            };
            let mut found = repositories.iter().filter(called).peekable();
            if found.peek().is_none() {
                remarks.push(format!(
                    "`{permission}` is good for nothing yet: no repository `{wanted}` is configured, nor one of an organization `{wanted}`"
                ));
            } else if !found.any(|one| one.access().read_api(&caller).is_ok()) {
                remarks.push(format!(
                    "`{permission}` is good for nothing yet: {account} may not read `{wanted}`; see `hexkeep org member` and `hexkeep grant add`"
                ));
            }
        }
        Ok(remarks)
    }

    pub(super) async fn list_keys(&self, account: &Account) -> Result<Outcome, Failure> {
        let keys = self.accounts().list_keys(self.owner(account).await?).await.map_err(failure)?;
        let end = |end: Option<Timestamp>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        let line = |key: &Key| {
            let scope = Permissions::from_json(&key.permissions).scope();
            format!("{}\t{scope}\t{}", shown(&key.name), end(key.revoke_at))
        };
        Ok(Outcome { lines: keys.iter().map(line).collect(), ..Outcome::default() })
    }

    pub(super) async fn revoke_key(&self, account: &Account, name: &str, by: &By) -> Result<Outcome, Failure> {
        let owner = self.owner(account).await?;
        let revoked = self.accounts().revoke_key(owner, name, by).await.map_err(failure)?;
        let mut outcome = Outcome::remark(format!("the key {} is revoked", shown(name)));
        let heirs = revoked.heirs.iter().map(|(owner, key)| format!("{} of {owner}", shown(&key.name)));
        let heirs: Vec<String> = heirs.collect();
        if !heirs.is_empty() {
            outcome.remarks.push(format!(
                "{} keys that it had made are revoked with it: {}",
                heirs.len(),
                heirs.join(", ")
            ));
        }
        Ok(outcome)
    }
}

fn read_permissions(words: &[String]) -> Result<Permissions, Failure> {
    let mut permissions = Vec::new();
    for word in words {
        let (domain, resource) = match word.split_once(':') {
            Some((domain, resource)) => (domain, Some(resource)),
            None => (word.as_str(), None),
        };
        let permission = Permission::from_pair(domain, resource);
        permissions.push(permission.map_err(|why| Failure(format!("`{word}`: {why}")))?);
    }
    Ok(Permissions::of(permissions))
}
