//! Puts the names of a command into the errors about its accounts.

use super::commands::{Account, Command, GrantCommand, KeyCommand, OrganizationCommand, UserCommand};
use super::{OperationError, Refusal};
use crate::auth::ManageError;
use crate::state::AccountError;

/// The names in a command about accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandNames {
    /// The user that the command changes.
    user: Option<String>,
    /// The organization that the command changes.
    organization: Option<String>,
    /// The key that the command creates or changes.
    key: Option<String>,
    /// The user or organization that the command creates.
    made: Option<String>,
    /// The new e-mail address of a user.
    email: Option<String>,
}

impl CommandNames {
    /// The names in `command`.
    pub(super) fn of(command: &Command) -> Self {
        match command {
            Command::User(order) => Self::of_user(order),
            Command::Organization(order) => Self::of_organization(order),
            Command::Key(KeyCommand::Create { owner, name, .. } | KeyCommand::Revoke { owner, name }) => {
                Self { key: Some(name.clone()), ..Self::of_account(owner) }
            }
            Command::Key(KeyCommand::List { owner })
            | Command::Grant(GrantCommand::Add { owner, .. } | GrantCommand::Remove { owner, .. }) => {
                Self::of_account(owner)
            }
            Command::Grant(GrantCommand::List) | Command::Release(_) | Command::Policy(_) | Command::Inspect(_) => {
                Self::default()
            }
        }
    }

    fn of_user(order: &UserCommand) -> Self {
        let user = |name: &String| Self { user: Some(name.clone()), ..Self::default() };
        match order {
            UserCommand::Add { name, email, .. } => {
                Self { made: Some(name.clone()), email: email.clone(), ..user(name) }
            }
            UserCommand::Email { name, email } => Self { email: email.clone(), ..user(name) },
            UserCommand::List => Self::default(),
            UserCommand::Password { name, .. }
            | UserCommand::Active { name, .. }
            | UserCommand::Admin { name, .. }
            | UserCommand::Totp { name }
            | UserCommand::TotpConfirm { name, .. }
            | UserCommand::TotpOff { name } => user(name),
        }
    }

    fn of_organization(order: &OrganizationCommand) -> Self {
        match order {
            OrganizationCommand::Add { name, admin } => {
                Self { user: admin.clone(), made: Some(name.clone()), ..Self::default() }
            }
            OrganizationCommand::List => Self::default(),
            OrganizationCommand::Member { organization, user, .. }
            | OrganizationCommand::RemoveMember { organization, user } => {
                Self { user: Some(user.clone()), organization: Some(organization.clone()), ..Self::default() }
            }
        }
    }

    fn of_account(account: &Account) -> Self {
        match account {
            Account::User(name) => Self { user: Some(name.clone()), ..Self::default() },
            Account::Organization(name) => Self { organization: Some(name.clone()), ..Self::default() },
        }
    }

    /// The account that owns the key or grant of the command.
    fn account(&self) -> Option<String> {
        self.user.clone().or_else(|| self.organization.clone())
    }

    /// Turns an account error, which contains no names, into a [`Refusal`] with the names of the command.
    pub(super) fn add_names(self, error: OperationError) -> OperationError {
        match error {
            OperationError::Account(ManageError::Account(refused)) => match self.refusal(&refused) {
                Some(refusal) => refusal.into(),
                None => ManageError::Account(refused).into(),
            },
            error => error,
        }
    }

    fn refusal(self, refused: &AccountError) -> Option<Refusal> {
        let account = self.account();
        let member = self.user.clone().zip(self.organization.clone());
        match refused {
            AccountError::UnknownUser => self.user.map(Refusal::NoUser),
            AccountError::UnknownOrganization => self.organization.map(Refusal::NoOrganization),
            AccountError::UnknownKey => account.zip(self.key).map(|(account, key)| Refusal::NoKey { account, key }),
            AccountError::UnknownGrant => account.map(|account| Refusal::NoGrant { account }),
            AccountError::NameTaken => self.made.map(Refusal::NameTaken),
            AccountError::EmailTaken => self.email.map(Refusal::EmailTaken),
            AccountError::LastAdministrator => self.user.map(Refusal::LastAdministrator),
            AccountError::NotMember => member.map(|(user, organization)| Refusal::NotMember { user, organization }),
            AccountError::LastAdmin => member.map(|(user, organization)| Refusal::LastAdmin { user, organization }),
            AccountError::LastMember => member.map(|(user, organization)| Refusal::LastMember { user, organization }),
            AccountError::State(_)
            | AccountError::MakerEnded
            | AccountError::UnknownSession
            | AccountError::AlreadyMember => None,
        }
    }
}
