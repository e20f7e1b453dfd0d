//! Orders about users.

use serde::{Deserialize, Serialize};

use super::OperationError;
use super::commands::UserCommand;
use super::operator::Operator;
use super::outcome::Text;
use crate::auth::{NewUser, User, UserChange};
use crate::display_text::shown;
use crate::secret::Secret;
use crate::state::audit::Actor;

/// What came of an order about users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserOutcome {
    /// A user was made.
    Added {
        /// The user.
        name: String,
        /// Whether the configuration gives this name to an organization, which then cannot be made.
        is_an_organizations: bool,
    },
    /// A user can be found by an address.
    AddressConfirmed {
        /// The user.
        name: String,
        /// The address.
        email: String,
    },
    /// All users.
    Listed(Vec<ListedUser>),
    /// A password was set, or taken away.
    PasswordSet {
        /// The user.
        name: String,
    },
    /// A user was let in again, or shut out.
    Active {
        /// The user.
        name: String,
        /// Whether the user may come in.
        active: bool,
    },
    /// A user became an administrator, or is none any more.
    Admin {
        /// The user.
        name: String,
        /// Whether the user is one.
        admin: bool,
    },
    /// A second factor that is off until it is confirmed.
    TotpBegun {
        /// What the app needs.
        secret: String,
        /// The same as a URL.
        url: String,
    },
    /// A second factor is on.
    TotpOn {
        /// The user.
        name: String,
        /// Each is good once.
        recovery_codes: Vec<String>,
    },
    /// A second factor is off.
    TotpOff {
        /// The user.
        name: String,
    },
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedUser {
    /// The name.
    pub name: String,
    /// The address, confirmed or not.
    pub email: Option<String>,
    /// Whether the user is known to have this address.
    pub email_is_confirmed: bool,
    /// Whether the user is an administrator.
    pub administrator: bool,
    /// Whether the user is shut out.
    pub deactivated: bool,
}

impl From<User> for ListedUser {
    fn from(user: User) -> Self {
        let email_is_confirmed = user.email.is_some();
        Self {
            name: user.name,
            email: user.email.or(user.unconfirmed_email),
            email_is_confirmed,
            administrator: user.administrator,
            deactivated: user.deactivated_at.is_some(),
        }
    }
}

impl ListedUser {
    fn line(&self) -> String {
        let admin = if self.administrator { "\tadministrator" } else { "" };
        let shut_out = if self.deactivated { "\tdeactivated" } else { "" };
        let email = match &self.email {
            Some(email) if self.email_is_confirmed => shown(email),
            Some(email) => format!("{} (unconfirmed)", shown(email)),
            None => "-".to_owned(),
        };
        format!("{}\t{email}{admin}{shut_out}", self.name)
    }
}

impl UserOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Added { name, is_an_organizations } => {
                let mut text = Text::remark(format!("created user {name}"));
                if *is_an_organizations {
                    text.remarks.push(format!(
                        "the configuration gives this name to an organization: while the user has it, `org add {name}` is refused"
                    ));
                }
                text
            }
            Self::AddressConfirmed { name, email } => {
                Text::remark(format!("confirmed {email} as the address of {name}, who can be found by it from now on"))
            }
            Self::Listed(users) => Text::lines(users.iter().map(ListedUser::line)),
            Self::PasswordSet { name } => {
                Text::remark(format!("set the password of {name}; sessions that were logged in have ended"))
            }
            Self::Active { name, active: true } => {
                Text::remark(format!("activated user {name}: the keys are good again; programs have to log in anew"))
            }
            Self::Active { name, active: false } => Text::remark(format!(
                "deactivated user {name}: log-ins of programs have ended for good, and keys do nothing until the user is activated"
            )),
            Self::Admin { name, admin: true } => Text::remark(format!("promoted user {name} to administrator")),
            Self::Admin { name, admin: false } => {
                Text::remark(format!("demoted user {name}: no longer an administrator"))
            }
            Self::TotpBegun { secret, url } => Text {
                lines: vec![secret.clone(), url.clone()],
                ..Text::remark("put it into the app that makes codes, and confirm it with one: it is off until then")
            },
            Self::TotpOn { name, recovery_codes } => Text {
                lines: recovery_codes.clone(),
                ..Text::remark(format!(
                    "turned on the second factor of {name}; each of these recovery codes lets in once without it"
                ))
            },
            Self::TotpOff { name } => Text::remark(format!("turned off the second factor of {name}")),
        }
    }
}

impl Operator {
    pub(super) async fn order_user(&self, command: UserCommand, by: &Actor) -> Result<UserOutcome, OperationError> {
        let accounts = self.accounts();
        Ok(match command {
            UserCommand::Add { name, email, full_name, password, admin } => {
                let new = NewUser { name, full_name, email, password: password.map(Secret::new), administrator: admin };
                let User { name, .. } = accounts.create_user(new, by).await?;
                let is_an_organizations =
                    self.repositories().iter().any(|one| one.account_names().any(|other| other == name));
                UserOutcome::Added { name, is_an_organizations }
            }
            UserCommand::Email { name, email } => {
                let user = accounts.confirm_email(&name, email, by).await?;
                UserOutcome::AddressConfirmed { name, email: user.email.unwrap_or_default() }
            }
            UserCommand::List => {
                UserOutcome::Listed(accounts.list_users().await?.into_iter().map(ListedUser::from).collect())
            }
            UserCommand::Password { name, password } => {
                let password = password.map(Secret::new);
                accounts.set_password(&name, password.as_ref(), by).await?;
                UserOutcome::PasswordSet { name }
            }
            UserCommand::Active { name, active } => {
                match active {
                    true => accounts.reactivate_user(&name, by).await?,
                    false => accounts.deactivate_user(&name, by).await?,
                }
                UserOutcome::Active { name, active }
            }
            UserCommand::Admin { name, admin } => {
                let change = UserChange { administrator: Some(admin), ..UserChange::default() };
                accounts.update_user(&name, change, by).await?;
                UserOutcome::Admin { name, admin }
            }
            UserCommand::Totp { name } => {
                let setup = accounts.begin_totp(&name, &self.setup().public_url).await?;
                let [secret, url] = [setup.secret, setup.url].map(|secret| secret.expose().to_owned());
                UserOutcome::TotpBegun { secret, url }
            }
            UserCommand::TotpConfirm { name, code } => {
                let codes = accounts.confirm_totp(&name, &code, by).await?;
                let recovery_codes = codes.iter().map(|code| code.expose().to_owned()).collect();
                UserOutcome::TotpOn { name, recovery_codes }
            }
            UserCommand::TotpOff { name } => {
                accounts.disable_totp(&name, by).await?;
                UserOutcome::TotpOff { name }
            }
        })
    }
}
