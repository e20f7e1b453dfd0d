//! Commands about users.

use serde::{Deserialize, Serialize};

use super::OperationError;
use super::commands::UserCommand;
use super::operator::Operator;
use super::outcome::Text;
use crate::auth::{NewUser, User, UserChange};
use crate::display_text::shown;
use crate::secret::Secret;
use crate::state::audit::Actor;

/// The result of a user command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserOutcome {
    /// A user was created.
    Added {
        /// Name of the user.
        name: String,
        /// Whether the configuration uses this name for an organization, which then cannot be created.
        is_an_organizations: bool,
    },
    /// The e-mail address of a user was confirmed.
    AddressConfirmed {
        /// Name of the user.
        name: String,
        /// E-mail address.
        email: String,
    },
    /// All users.
    Listed(Vec<ListedUser>),
    /// A password was set, or removed.
    PasswordSet {
        /// Name of the user.
        name: String,
    },
    /// A user was activated or deactivated.
    Active {
        /// Name of the user.
        name: String,
        /// Whether the user is active.
        active: bool,
    },
    /// A user got or lost administrator rights.
    Admin {
        /// Name of the user.
        name: String,
        /// Whether the user is an administrator.
        admin: bool,
    },
    /// The setup of a second factor was started; it is off until it is confirmed.
    TotpBegun {
        /// Secret for the authenticator app.
        secret: String,
        /// The secret as a URL.
        url: String,
    },
    /// A second factor was turned on.
    TotpOn {
        /// Name of the user.
        name: String,
        /// Recovery codes. Each code works once.
        recovery_codes: Vec<String>,
    },
    /// A second factor was turned off.
    TotpOff {
        /// Name of the user.
        name: String,
    },
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedUser {
    /// Name of the user.
    pub name: String,
    /// E-mail address, confirmed or not.
    pub email: Option<String>,
    /// Whether the address is confirmed.
    pub email_is_confirmed: bool,
    /// Whether the user is an administrator.
    pub administrator: bool,
    /// Whether the user is deactivated.
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
                        "warning: the configuration uses this name for an organization, so `hexkeep org add {name}` fails while the user exists"
                    ));
                }
                text
            }
            Self::AddressConfirmed { name, email } => {
                Text::remark(format!("confirmed the address {email} of {name}; other users can now find {name} by it"))
            }
            Self::Listed(users) => Text::lines(users.iter().map(ListedUser::line)),
            Self::PasswordSet { name } => {
                Text::remark(format!("set the password of {name} and ended all sessions of this user"))
            }
            Self::Active { name, active: true } => {
                Text::remark(format!("activated user {name}: API keys work again; OAuth clients must log in again"))
            }
            Self::Active { name, active: false } => Text::remark(format!(
                "deactivated user {name}: revoked OAuth tokens; API keys are suspended until the user is activated"
            )),
            Self::Admin { name, admin: true } => Text::remark(format!("promoted user {name} to administrator")),
            Self::Admin { name, admin: false } => {
                Text::remark(format!("demoted user {name}: no longer an administrator"))
            }
            Self::TotpBegun { secret, url } => Text {
                lines: vec![secret.clone(), url.clone()],
                ..Text::remark(
                    "add the secret to an authenticator app, and confirm the setup with a code; two-factor authentication is off until then",
                )
            },
            Self::TotpOn { name, recovery_codes } => Text {
                lines: recovery_codes.clone(),
                ..Text::remark(format!(
                    "turned on two-factor authentication for {name}; each of these recovery codes can be used once instead of a code from the app"
                ))
            },
            Self::TotpOff { name } => Text::remark(format!("turned off two-factor authentication for {name}")),
        }
    }
}

impl Operator {
    pub(super) async fn run_user_command(
        &self,
        command: UserCommand,
        by: &Actor,
    ) -> Result<UserOutcome, OperationError> {
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
