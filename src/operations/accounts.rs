//! Orders about accounts and local repositories, carried out on an open store.

mod keys;

use super::commands::{Account, Command, Outcome};
use super::operator::Operator;
use super::{Failure, failure};
use crate::auth::{NewUser, Owner, Role, UserChange, shown};
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::local::WriteError;
use crate::secret::Secret;
use crate::state::audit::{By, Entry};

impl Operator {
    /// Carries out an order about accounts, local repositories, policies.
    pub async fn administer(&self, command: Command, by: By) -> Result<Outcome, Failure> {
        match command {
            Command::ReleaseRemove { repository, package, version, reason } => {
                let (local, grant) = self.administrate(&repository, by)?;
                let (package, version) = (name(&package)?, version.as_deref().map(release).transpose()?);
                let removed = local.remove(&grant, &package, version.as_ref(), &reason).await;
                let removed = removed.map_err(|error| of_release(error, &repository, &package, version.as_ref()))?;
                let remark = format!("{removed} releases of {package} are gone, and their versions are not used again");
                Ok(Outcome::remark(remark))
            }
            Command::ReleaseAllow { repository, package, version } => {
                let (local, grant) = self.administrate(&repository, by)?;
                let (package, version) = (name(&package)?, release(&version)?);
                let allowed = local.allow_again(&grant, &package, &version).await;
                allowed.map_err(|error| match error {
                    WriteError::NotFound => Failure(format!(
                        "{package} {version} of {repository} was not reverted: there is nothing to be allowed again"
                    )),
                    error => failure(error),
                })?;
                Ok(Outcome::remark(format!("{package} {version} may be published again")))
            }
            Command::ReleaseForget { repository, package } => self.forget_name(&repository, &package, by).await,
            Command::Reindex { repository } => {
                let (local, grant) = self.administrate(&repository, by)?;
                let done = local.reindex(&grant).await.map_err(failure)?;
                let failed = !done.failed.is_empty();
                let line = format!(
                    "{} releases were written from their files; {} versions are gone and stay taken",
                    done.restored, done.taken
                );
                Ok(Outcome { lines: vec![line], remarks: done.failed, failed })
            }
            Command::Explain { repository, package, version, json } => {
                self.explain(&repository, &package, version.as_deref(), json).await
            }
            Command::Pin { repository, releases, until, reason } => {
                let outcome = self.pin(&repository, &releases, until.as_deref(), &reason, &by).await?;
                self.keep_pinned().await?;
                Ok(outcome)
            }
            Command::Unpin { repository, releases } => self.unpin(&repository, &releases, &by).await,
            Command::Stats { repository } => self.stats(repository.as_deref()).await,
            Command::PolicyWaive { repository, package, requirement, until, reason } => {
                self.waive(&repository, (&package, requirement.as_deref()), &until, &reason, &by).await
            }
            Command::PolicyWaivers { repository } => self.waivers(&repository).await,
            Command::PolicyWithdraw { repository, number } => self.withdraw(&repository, number, &by).await,
            Command::PolicyWhy { repository, package, version } => {
                self.policy_why(&repository, &package, version.as_deref()).await
            }
            Command::PolicyTest { repository, releases } => self.policy_test(&repository, &releases).await,
            Command::PolicyReport { repository, by } => self.policy_report(&repository, by).await,
            Command::WhoHas { package, version, repository } => {
                self.who_has(repository.as_deref(), &package, version.as_deref()).await
            }
            Command::Audit { repository, account, page } => self.audit_lines(repository, account, page).await,
            account => self.account(account, &by).await,
        }
    }

    async fn account(&self, command: Command, by: &By) -> Result<Outcome, Failure> {
        let accounts = self.accounts();
        Ok(match command {
            Command::UserAdd { name, email, full_name, password, admin } => {
                let new = NewUser { name, full_name, email, password: password.map(Secret::new), administrator: admin };
                let user = accounts.create_user(new, by).await.map_err(failure)?;
                let mut outcome = Outcome::remark(format!("the user {} is there", user.name));
                if self.repositories().iter().any(|one| one.account_names().any(|name| name == user.name)) {
                    outcome.remarks.push(format!(
                        "the configuration gives this name to an organization: while the user has it, `org add {}` is refused",
                        user.name
                    ));
                }
                outcome
            }
            Command::UserEmail { name, email } => {
                let user = accounts.confirm_email(&name, email, by).await.map_err(failure)?;
                let email = user.email.unwrap_or_default();
                Outcome::remark(format!("{email} is the address of {name}, who can be found by it from now on"))
            }
            Command::UserList => {
                let users = accounts.list_users().await.map_err(failure)?;
                let line = |user: &crate::auth::User| {
                    let admin = if user.administrator { "\tadministrator" } else { "" };
                    let shut_out = if user.deactivated_at.is_some() { "\tdeactivated" } else { "" };
                    let email = match (&user.email, &user.unconfirmed_email) {
                        (Some(email), _) => shown(email),
                        (None, Some(email)) => format!("{} (unconfirmed)", shown(email)),
                        (None, None) => "-".to_owned(),
                    };
                    format!("{}\t{email}{admin}{shut_out}", user.name)
                };
                Outcome { lines: users.iter().map(line).collect(), ..Outcome::default() }
            }
            Command::UserPassword { name, password } => {
                let password = password.map(Secret::new);
                accounts.set_password(&name, password.as_ref(), by).await.map_err(failure)?;
                Outcome::remark(format!("the password of {name} is set; sessions that were logged in have ended"))
            }
            Command::UserActive { name, active } => {
                let done = match active {
                    true => accounts.reactivate_user(&name, by).await,
                    false => accounts.deactivate_user(&name, by).await,
                };
                done.map_err(failure)?;
                Outcome::remark(match active {
                    true => {
                        format!("{name} is let in again, and the keys are good again; programs have to log in anew")
                    }
                    false => format!(
                        "{name} is shut out: log-ins of programs have ended for good, and keys do nothing until the user is let in again"
                    ),
                })
            }
            Command::UserAdmin { name, admin } => {
                let change = UserChange { administrator: Some(admin), ..UserChange::default() };
                accounts.update_user(&name, change, by).await.map_err(failure)?;
                Outcome::remark(format!("{name} is {}", if admin { "an administrator" } else { "no administrator" }))
            }
            Command::UserTotp { name } => {
                let setup = accounts.begin_totp(&name, &self.issuer()).await.map_err(failure)?;
                let lines = [setup.secret, setup.url].map(|secret| secret.expose().to_owned());
                let remark = "put it into the app that makes codes, and confirm it with one: it is off until then";
                Outcome { lines: lines.into(), ..Outcome::remark(remark) }
            }
            Command::UserTotpConfirm { name, code } => {
                let codes = accounts.confirm_totp(&name, &code, by).await.map_err(failure)?;
                let lines = codes.iter().map(|code| code.expose().to_owned()).collect();
                let remark =
                    format!("the second factor of {name} is on; each of these recovery codes lets in once without it");
                Outcome { lines, ..Outcome::remark(remark) }
            }
            Command::UserTotpOff { name } => {
                accounts.disable_totp(&name, by).await.map_err(failure)?;
                Outcome::remark(format!("the second factor of {name} is off"))
            }
            Command::KeyCreate { owner, name, permissions, days } => {
                self.create_key(&owner, name, &permissions, days, by).await?
            }
            Command::KeyList { owner } => self.list_keys(&owner).await?,
            Command::KeyRevoke { owner, name } => self.revoke_key(&owner, &name, by).await?,
            Command::OrgAdd { name, admin } => self.add_organization(&name, admin.as_deref(), by).await?,
            Command::OrgList => self.list_organizations().await?,
            Command::OrgMember { organization, user, role } => {
                let role = Role::from_word(&role)
                    .ok_or_else(|| Failure(format!("`{role}` is no role; write read, write or admin")))?;
                let members = accounts.members(&organization).await.map_err(failure)?;
                let done = match members.iter().any(|member| member.name == user.to_lowercase()) {
                    true => accounts.set_role(&organization, &user, role, by).await,
                    false => accounts.add_member(&organization, &user, role, by).await,
                };
                done.map_err(failure)?;
                Outcome::remark(format!("{user} is a member of {organization}: {}", role.as_str()))
            }
            Command::OrgRemoveMember { organization, user } => self.remove_member(&organization, &user, by).await?,
            Command::GrantAdd { owner, repository, pattern } => {
                let (owner, key) = (self.owner(&owner).await?, self.known(&repository)?);
                accounts.add_grant(owner, &key, &pattern, by).await.map_err(failure)?;
                Outcome::remark(format!("{pattern} of {key} may be read"))
            }
            Command::GrantRemove { owner, repository, pattern } => {
                let owner = self.owner(&owner).await?;
                let key = repository.parse().map_err(failure)?;
                accounts.remove_grant(owner, &key, &pattern, by).await.map_err(failure)?;
                Outcome::remark(format!("{pattern} of {key} may no longer be read by that right"))
            }
            Command::GrantList => {
                let mut lines = Vec::new();
                for grant in accounts.list_grants(None).await.map_err(failure)? {
                    lines.push(format!(
                        "{}\t{}\t{}",
                        self.owner_name(grant.owner).await?,
                        grant.repository,
                        grant.pattern
                    ));
                }
                Outcome { lines, ..Outcome::default() }
            }
            Command::ReleaseRemove { .. }
            | Command::ReleaseAllow { .. }
            | Command::ReleaseForget { .. }
            | Command::Reindex { .. }
            | Command::Explain { .. }
            | Command::Pin { .. }
            | Command::Unpin { .. }
            | Command::Stats { .. }
            | Command::PolicyWaive { .. }
            | Command::PolicyWaivers { .. }
            | Command::PolicyWithdraw { .. }
            | Command::PolicyWhy { .. }
            | Command::PolicyTest { .. }
            | Command::PolicyReport { .. }
            | Command::WhoHas { .. }
            | Command::Audit { .. } => return Err(Failure("this order is about no account".to_owned())),
        })
    }

    /// The name under which apps show the second factor: the host that clients know.
    fn issuer(&self) -> String {
        host(&self.setup().public_url).to_owned()
    }

    /// The key of a repository that is configured.
    fn known(&self, repository: &str) -> Result<crate::hex::name::RepoName, Failure> {
        let all = self.repositories();
        let found = all.iter().find(|one| one.key().as_str() == repository);
        found.map(|one| one.key().clone()).ok_or_else(|| Failure(format!("there is no repository `{repository}`")))
    }

    async fn owner(&self, account: &Account) -> Result<Owner, Failure> {
        let accounts = self.accounts();
        match account {
            Account::User(name) => {
                let user = accounts.user(name).await.map_err(failure)?;
                user.map(|user| Owner::User(user.id)).ok_or_else(|| Failure(format!("there is no user `{name}`")))
            }
            Account::Organization(name) => {
                let found = accounts.organization(name).await.map_err(failure)?;
                let owner = found.map(|organization| Owner::Organization(organization.id));
                owner.ok_or_else(|| Failure(format!("there is no organization `{name}`")))
            }
        }
    }

    async fn owner_name(&self, owner: Owner) -> Result<String, Failure> {
        let principal = self.accounts().principal_of(owner).await.map_err(failure)?;
        Ok(principal.and_then(|principal| principal.by().actor).unwrap_or_else(|| "-".to_owned()))
    }

    async fn add_organization(&self, name: &str, admin: Option<&str>, by: &By) -> Result<Outcome, Failure> {
        let organization = self.accounts().create_organization(name, admin, by).await.map_err(failure)?;
        let mut outcome = Outcome::remark(format!("created organization {}", organization.name));
        let bound = |one: &crate::repository::Repository| one.access().organization() == Some(name);
        if !self.repositories().iter().any(bound) {
            outcome.remarks.push(format!(
                "no repository is bound to it yet; add this to the configuration and reload:\n\n  repositories:\n    {name}: {{ type: local }}\n"
            ));
        }
        Ok(outcome)
    }

    /// Keys of the organization stay, whoever has made them: it is said which there are.
    async fn remove_member(&self, organization: &str, user: &str, by: &By) -> Result<Outcome, Failure> {
        let accounts = self.accounts();
        accounts.remove_member(organization, user, by).await.map_err(failure)?;
        let mut outcome = Outcome::remark(format!("{user} is no longer a member of {organization}"));
        let keys = accounts.list_keys(self.owner(&Account::Organization(organization.to_owned())).await?).await;
        let names: Vec<String> = keys.map_err(failure)?.iter().map(|key| shown(&key.name)).collect();
        if !names.is_empty() {
            outcome.remarks.push(format!(
                "keys of {organization} stay good; revoke those that {user} may still have: {}",
                names.join(", ")
            ));
        }
        Ok(outcome)
    }

    async fn list_organizations(&self) -> Result<Outcome, Failure> {
        let accounts = self.accounts();
        let mut lines = Vec::new();
        for organization in accounts.organizations().await.map_err(failure)? {
            let members = accounts.members(&organization.name).await.map_err(failure)?;
            let members = members.iter().map(|member| format!("{} ({})", member.name, member.role.as_str()));
            lines.push(format!("{}\t{}", organization.name, members.collect::<Vec<_>>().join(", ")));
        }
        Ok(Outcome { lines, ..Outcome::default() })
    }

    async fn audit_lines(
        &self,
        repository: Option<String>,
        account: Option<Account>,
        page: u32,
    ) -> Result<Outcome, Failure> {
        let entries: Vec<Entry> = match (&repository, &account) {
            (_, Some(account)) => {
                let owner = self.owner(account).await?;
                self.accounts().audit_of(owner, page).await.map_err(failure)?
            }
            (Some(repository), None) => self.state.audit_of_repository(repository, page).await.map_err(failure)?,
            (None, None) => self.state.audit_of_everything(page).await.map_err(failure)?,
        };
        let line = |entry: &Entry| {
            let subject = [entry.package.as_deref(), entry.version.as_deref(), entry.subject.as_deref()];
            let subject: Vec<&str> = subject.into_iter().flatten().collect();
            let by = &entry.by;
            let or_none = |text: Option<&str>| shown(text.unwrap_or("-"));
            let (actor, credential) = (or_none(by.actor.as_deref()), or_none(by.credential.as_deref()));
            let address = by.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
            let (agent, detail) = (or_none(by.agent.as_deref()), shown(&entry.detail));
            let subject = match (entry.repository.as_str(), subject.join(" ")) {
                ("", subject) => subject,
                (repository, subject) if subject.is_empty() => repository.to_owned(),
                (repository, subject) => format!("{repository}/{subject}"),
            };
            format!("{}\t{}\t{actor}\t{credential}\t{address}\t{subject}\t{detail}\t{agent}", entry.at, entry.action)
        };
        Ok(Outcome { lines: entries.iter().map(line).collect(), ..Outcome::default() })
    }
}

fn of_release(error: WriteError, repository: &str, package: &PackageName, version: Option<&ReleaseVersion>) -> Failure {
    match (error, version) {
        (WriteError::NotFound, Some(version)) => Failure(format!("{repository} has no {package} {version}")),
        (WriteError::NotFound, None) => Failure(format!("{repository} has no package {package}")),
        (error, _) => failure(error),
    }
}

fn name(text: &str) -> Result<PackageName, Failure> {
    text.parse().map_err(failure)
}

fn release(text: &str) -> Result<ReleaseVersion, Failure> {
    text.parse().map_err(failure)
}

/// The host in a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
