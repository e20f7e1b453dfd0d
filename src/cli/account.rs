//! `hexkeep user`, `key`, `org`, `grant`: manage accounts and access.

use std::io::{IsTerminal as _, Read as _};

use super::order::run_command;
use super::{CommandError, TerminalError, print_stderr};
use crate::config::Source;
use crate::hex::limits;
use crate::operations::commands::{Account, GrantCommand, KeyCommand, OrganizationCommand, UserCommand};

/// Maximum number of bytes that are read of a password on standard input: enough to see that it is too long, which is
/// then refused like any other password of this length, and to complete its last character.
const READ_OF_A_PASSWORD: usize = limits::PASSWORD + 4;

#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Create a user; prompts for the password, or reads it from standard input
    Add {
        /// Name of the user: 3 to 64 lower-case letters, digits, `_`, `-` and `.`
        name: String,
        /// Make the user an administrator, with all rights on every repository
        #[arg(long)]
        admin: bool,
        /// E-mail address of the user
        #[arg(long)]
        email: Option<String>,
        /// Full name of the user
        #[arg(long)]
        full_name: Option<String>,
        /// Create the user without a password, for a service account that uses API keys only
        #[arg(long)]
        no_password: bool,
    },
    /// Confirm a user's e-mail address, or set a new one; other users can then find the user by this address
    Email {
        /// Name of the user
        name: String,
        /// New address; without it, the address from sign-up is confirmed
        address: Option<String>,
    },
    /// List all users
    List,
    /// Set a user's password; prompts for it, or reads it from standard input
    Password {
        /// Name of the user
        name: String,
    },
    /// Deactivate a user: revokes OAuth tokens, and suspends API keys and the password until `activate`
    Deactivate {
        /// Name of the user
        name: String,
    },
    /// Reactivate a user: API keys and the password work again; OAuth clients must log in again
    Activate {
        /// Name of the user
        name: String,
    },
    /// Make a user an administrator
    Promote {
        /// Name of the user
        name: String,
    },
    /// Remove the administrator rights of a user
    Demote {
        /// Name of the user
        name: String,
    },
    /// Set up two-factor authentication (TOTP) for a user: prints the secret and its URL, and prompts for a code
    Totp {
        /// Name of the user
        name: String,
        /// Confirm the setup with this code from the authenticator app
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
    },
    /// Turn off two-factor authentication for a user, for example after a lost device
    TotpOff {
        /// Name of the user
        name: String,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// For the user NAME
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For the organization NAME
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
}

impl Whose {
    fn account(self) -> Account {
        match (self.user, self.org) {
            (_, Some(name)) => Account::Organization(name),
            (name, None) => Account::User(name.unwrap_or_default()),
        }
    }
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Key {
    /// Create a key and print it on standard output; it cannot be shown again
    Create {
        /// Name of the key
        name: String,
        #[command(flatten)]
        whose: Whose,
        /// Permission of the key; can be repeated. One of: api, api:read, api:write, package:REPO/NAME, repositories,
        /// repository:REPO, repository:REPO/PATTERN, docs:REPO, policy:write
        #[arg(long = "permission", value_name = "PERMISSION", required = true)]
        permissions: Vec<String>,
        /// Let the key expire after this number of days
        #[arg(long, value_name = "DAYS")]
        days: Option<u64>,
    },
    /// List the keys of an account
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Revoke a key, and all keys that were created with it
    Revoke {
        /// Name of the key
        name: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Org {
    /// Create an organization
    Add {
        /// Name of the organization
        name: String,
        /// User who becomes the first administrator of the organization
        #[arg(long, value_name = "USER")]
        admin: Option<String>,
    },
    /// List all organizations and their members
    List,
    /// Add a user to an organization, or change the role of a member
    Member {
        /// Name of the organization
        organization: String,
        /// Name of the user
        user: String,
        /// Role of the member: `read`, `write` (publish packages, create and revoke the organization's keys) or `admin`
        /// (also manage members and package owners)
        #[arg(long, default_value = "read")]
        role: String,
    },
    /// Remove a user from an organization; keys of the organization stay valid, even those the user created
    RemoveMember {
        /// Name of the organization
        organization: String,
        /// Name of the user
        user: String,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Grant {
    /// Grant an account read access to a repository, or to the packages that match a pattern
    Add {
        /// Name of the repository in the configuration
        repository: String,
        /// Pattern of package names; `*` matches any characters
        #[arg(default_value = "*")]
        pattern: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Revoke a grant
    Remove {
        /// Name of the repository in the configuration
        repository: String,
        /// Pattern of package names, exactly as it was granted
        #[arg(default_value = "*")]
        pattern: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// List all grants
    List,
}

pub(super) fn user(order: User, source: Source) -> Result<(), CommandError> {
    let command = match order {
        User::Add { name, admin, email, full_name, no_password } => {
            let password = if no_password { None } else { Some(password()?) };
            UserCommand::Add { name, email, full_name, password, admin }
        }
        User::Email { name, address } => UserCommand::Email { name, email: address },
        User::List => UserCommand::List,
        User::Password { name } => UserCommand::Password { name, password: Some(password()?) },
        User::Deactivate { name } => UserCommand::Active { name, active: false },
        User::Activate { name } => UserCommand::Active { name, active: true },
        User::Promote { name } => UserCommand::Admin { name, admin: true },
        User::Demote { name } => UserCommand::Admin { name, admin: false },
        User::Totp { name, code: Some(code) } => UserCommand::TotpConfirm { name, code },
        User::Totp { name, code: None } => return totp(name, source),
        User::TotpOff { name } => UserCommand::TotpOff { name },
    };
    run_command(command, source)
}

pub(super) fn key(order: Key, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Key::Create { name, whose, permissions, days } => {
            KeyCommand::Create { owner: whose.account(), name, permissions, days }
        }
        Key::List { whose } => KeyCommand::List { owner: whose.account() },
        Key::Revoke { name, whose } => KeyCommand::Revoke { owner: whose.account(), name },
    };
    run_command(command, source)
}

pub(super) fn org(order: Org, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Org::Add { name, admin } => OrganizationCommand::Add { name, admin },
        Org::List => OrganizationCommand::List,
        Org::Member { organization, user, role } => OrganizationCommand::Member { organization, user, role },
        Org::RemoveMember { organization, user } => OrganizationCommand::RemoveMember { organization, user },
    };
    run_command(command, source)
}

pub(super) fn grant(order: Grant, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Grant::Add { repository, pattern, whose } => GrantCommand::Add { owner: whose.account(), repository, pattern },
        Grant::Remove { repository, pattern, whose } => {
            GrantCommand::Remove { owner: whose.account(), repository, pattern }
        }
        Grant::List => GrantCommand::List,
    };
    run_command(command, source)
}

/// Starts the setup of a second factor. At a terminal, prompts for a code and confirms it at once.
fn totp(name: String, source: Source) -> Result<(), CommandError> {
    run_command(UserCommand::Totp { name: name.clone() }, source.clone())?;
    if !std::io::stdin().is_terminal() {
        print_stderr(&format!("to confirm, run: hexkeep user totp {name} --code CODE"));
        return Ok(());
    }
    print_stderr("Code from the authenticator app:");
    let mut code = String::new();
    let read = std::io::stdin().read_line(&mut code);
    read.map_err(|why| TerminalError::Answer { what: "the code", why })?;
    run_command(UserCommand::TotpConfirm { name, code: code.trim().to_owned() }, source)
}

/// Reads a password: prompts twice at a terminal, otherwise takes the first line of standard input.
fn password() -> Result<String, CommandError> {
    let failure = |why| TerminalError::Answer { what: "the password", why };
    if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(failure)?;
        let again = rpassword::prompt_password("Repeat password: ").map_err(failure)?;
        if first != again {
            return Err(TerminalError::PasswordsDiffer.into());
        }
        return Ok(first);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(READ_OF_A_PASSWORD).unwrap_or(u64::MAX);
    std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(failure)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let password = match std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) {
        Ok(password) => password,
        // The line was cut within a character.
        Err(error) if error.error_len().is_none() && line.len() == READ_OF_A_PASSWORD => {
            std::str::from_utf8(line.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(error) => return Err(failure(std::io::Error::new(std::io::ErrorKind::InvalidData, error)).into()),
    };
    if password.is_empty() { Err(TerminalError::NoPassword.into()) } else { Ok(password.to_owned()) }
}
