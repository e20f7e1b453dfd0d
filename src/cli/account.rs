//! `hexkeep user`, `key`, `org`, `grant`: accounts.

use std::io::{IsTerminal as _, Read as _};

use super::order::give;
use super::{CommandError, TerminalError, say};
use crate::config::Source;
use crate::operations::commands::{Account, GrantCommand, KeyCommand, OrganizationCommand, UserCommand};

/// Longest password that is read from standard input.
const PASSWORD: u64 = 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Make a user; the password is asked for, or read from standard input
    Add {
        /// 3 to 64 lower case letters, digits, `_`, `-` and `.`
        name: String,
        /// May do everything, on every repository
        #[arg(long)]
        admin: bool,
        #[arg(long)]
        email: Option<String>,
        #[arg(long)]
        full_name: Option<String>,
        /// A robot: it has keys alone
        #[arg(long)]
        no_password: bool,
    },
    /// Confirm the e-mail address that a user gave at sign-up, or set another one: the user can then be found by it
    Email {
        name: String,
        /// Another address than the one that the user gave
        address: Option<String>,
    },
    /// List all users
    List,
    /// Set a user's password; it is asked for, or read from standard input
    Password { name: String },
    /// Shut a user out: log-ins of programs end for good, keys and the password do nothing until `activate`
    Deactivate { name: String },
    /// Let a user in again; the keys are good again, programs have to log in anew
    Activate { name: String },
    /// Make a user an administrator
    Promote { name: String },
    /// Take the rights of an administrator away
    Demote { name: String },
    /// Set a second factor up: prints its secret and its URL, and asks for a code of it
    Totp {
        name: String,
        /// Confirms what was begun before
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
    },
    /// Turn off the second factor of a user who has lost it
    TotpOff { name: String },
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
    /// Make a key and print it: once, on standard output
    Create {
        /// What it is called
        name: String,
        #[command(flatten)]
        whose: Whose,
        /// What it is good for, each `DOMAIN` or `DOMAIN:RESOURCE`: api, api:read, api:write, package:REPO/NAME,
        /// repositories, repository:REPO, repository:REPO/PATTERN, docs:REPO, policy:write
        #[arg(long = "permission", value_name = "PERMISSION", required = true)]
        permissions: Vec<String>,
        /// Ends by itself after so many days
        #[arg(long, value_name = "DAYS")]
        days: Option<u64>,
    },
    /// List keys
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Revoke a key, and the keys that were made with it
    Revoke {
        name: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Org {
    /// Make an organization
    Add {
        name: String,
        /// Its first administrator
        #[arg(long, value_name = "USER")]
        admin: Option<String>,
    },
    /// List all organizations and their members
    List,
    /// Make a user a member, or change the role: read, write (publish, make and revoke the organization's keys), admin
    /// (owners, members)
    Member {
        organization: String,
        user: String,
        #[arg(long, default_value = "read")]
        role: String,
    },
    /// End a membership; the organization's keys stay, whoever has made them
    RemoveMember { organization: String, user: String },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Grant {
    /// Let somebody read a repository, or the packages of it that match a pattern
    Add {
        repository: String,
        /// Package names, with `*`
        #[arg(default_value = "*")]
        pattern: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Take such a right away
    Remove {
        repository: String,
        #[arg(default_value = "*")]
        pattern: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// List all such rights
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
    give(command, source)
}

pub(super) fn key(order: Key, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Key::Create { name, whose, permissions, days } => {
            KeyCommand::Create { owner: whose.account(), name, permissions, days }
        }
        Key::List { whose } => KeyCommand::List { owner: whose.account() },
        Key::Revoke { name, whose } => KeyCommand::Revoke { owner: whose.account(), name },
    };
    give(command, source)
}

pub(super) fn org(order: Org, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Org::Add { name, admin } => OrganizationCommand::Add { name, admin },
        Org::List => OrganizationCommand::List,
        Org::Member { organization, user, role } => OrganizationCommand::Member { organization, user, role },
        Org::RemoveMember { organization, user } => OrganizationCommand::RemoveMember { organization, user },
    };
    give(command, source)
}

pub(super) fn grant(order: Grant, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Grant::Add { repository, pattern, whose } => GrantCommand::Add { owner: whose.account(), repository, pattern },
        Grant::Remove { repository, pattern, whose } => {
            GrantCommand::Remove { owner: whose.account(), repository, pattern }
        }
        Grant::List => GrantCommand::List,
    };
    give(command, source)
}

/// Begins with a second factor; at a terminal it is confirmed at once.
fn totp(name: String, source: Source) -> Result<(), CommandError> {
    give(UserCommand::Totp { name: name.clone() }, source.clone())?;
    if !std::io::stdin().is_terminal() {
        say(&format!("then: hexkeep user totp {name} --code CODE"));
        return Ok(());
    }
    say("Code:");
    let mut code = String::new();
    let read = std::io::stdin().read_line(&mut code);
    read.map_err(|why| TerminalError::Answer { what: "the code", why })?;
    give(UserCommand::TotpConfirm { name, code: code.trim().to_owned() }, source)
}

/// Asked for twice at a terminal; else the first line of standard input.
fn password() -> Result<String, CommandError> {
    let failure = |why| TerminalError::Answer { what: "the password", why };
    if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(failure)?;
        let again = rpassword::prompt_password("Once more: ").map_err(failure)?;
        if first != again {
            return Err(TerminalError::PasswordsDiffer.into());
        }
        return Ok(first);
    }
    let mut text = String::new();
    std::io::stdin().take(PASSWORD).read_to_string(&mut text).map_err(failure)?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(TerminalError::NoPassword.into()),
    }
}
