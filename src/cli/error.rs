//! Errors of commands.

use std::io;
use std::path::PathBuf;

use crate::admin::client::DaemonError;
use crate::app::StartError;
use crate::config::ConfigError;
use crate::hex::lock::LockError;
use crate::operations::OperationError;
use crate::operations::locked_releases::ControlCharacter;
use crate::shutdown::TaskError;
use crate::trust::KeyError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The store cannot be opened, or the daemon cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operation failed in this process.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The operation failed in the daemon.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The command failed before the operation started.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The command has already printed what failed.
    #[error("")]
    AlreadyReported,
}

/// What went wrong in this process, before an operation started.
#[derive(Debug, thiserror::Error)]
pub(super) enum TerminalError {
    /// A file or folder of an argument cannot be used.
    #[error("{}: {why}", .path.display())]
    Path { path: PathBuf, why: io::Error },
    /// The folder of `--to` cannot be used.
    #[error("--to: {0}")]
    To(io::Error),
    /// A file cannot be written.
    #[error("cannot write {}: {why}", .path.display())]
    Write { path: PathBuf, why: io::Error },
    /// The result cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A file is not a lock file.
    #[error("{}", .path.display())]
    Lock {
        path: PathBuf,
        #[source]
        why: LockError,
    },
    /// A lock file contains an invalid release.
    #[error(transparent)]
    Locked(#[from] ControlCharacter),
    /// An answer to a prompt cannot be read.
    #[error("cannot read {what}: {why}")]
    Answer { what: &'static str, why: io::Error },
    /// No password on standard input, and no terminal for a prompt.
    #[error("no password: standard input is not a terminal, and its first line is empty; write the password there")]
    NoPassword,
    /// The two passwords are not the same.
    #[error("the two passwords differ; run the command again")]
    PasswordsDiffer,
    /// No terminal for a confirmation.
    #[error("cannot ask for confirmation: standard input is not a terminal; add --yes to confirm")]
    NoTerminal,
    /// The confirmation does not match the name.
    #[error("the names differ: nothing was changed")]
    NameMismatch,
    /// A command that only reads, without an existing store.
    #[error(
        "there is no store in {}; select the configuration file with --config, or run the command in the directory of the \
         server",
        .0.display()
    )]
    NoStore(PathBuf),
    /// No public key of the repository has the id of `--id`.
    #[error("no key has this id; use --list to show all keys")]
    NoKey,
    /// A key cannot be generated.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A reload without a running daemon.
    #[error(
        "no daemon uses the store in {}, so there is nothing to reload; a daemon reads the configuration when it starts. If storage.path was changed, \
         restart the daemon: a reload cannot change this key",
        .0.display()
    )]
    NoDaemon(PathBuf),
    /// The configuration cannot be written as YAML.
    #[error(transparent)]
    Show(Box<dyn std::error::Error + Send + Sync>),
    /// The log cannot be set up.
    #[error(transparent)]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Threads or signal handlers cannot be set up.
    #[error(transparent)]
    System(io::Error),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}
