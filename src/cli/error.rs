//! Why a command did not succeed.

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

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The store cannot be opened, or the daemon cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The order was not carried out.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The daemon that has the store did not carry it out.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// It was not even given.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The command has said itself what it found.
    #[error("")]
    Said,
}

/// What went wrong at the terminal, before anything was ordered.
#[derive(Debug, thiserror::Error)]
pub(super) enum TerminalError {
    /// A file or folder that was named.
    #[error("{}: {why}", .path.display())]
    Path { path: PathBuf, why: io::Error },
    /// The folder of `--to`.
    #[error("--to: {0}")]
    To(io::Error),
    /// A file that cannot be written.
    #[error("cannot write {}: {why}", .path.display())]
    Write { path: PathBuf, why: io::Error },
    /// A file that is no lock file.
    #[error("{}", .path.display())]
    Lock {
        path: PathBuf,
        #[source]
        why: LockError,
    },
    /// What a lock file names.
    #[error(transparent)]
    Locked(#[from] ControlCharacter),
    /// An answer to a question.
    #[error("{what} could not be read: {why}")]
    Answer { what: &'static str, why: io::Error },
    /// No password was given where nobody can be asked for one.
    #[error("no password: there is no terminal to ask at, and the first line of standard input is empty")]
    NoPassword,
    /// The password was not repeated.
    #[error("the two passwords differ")]
    PasswordsDiffer,
    /// Nobody can be asked.
    #[error("there is no terminal to ask for the name once more; write --yes")]
    NobodyToAsk,
    /// The name was not repeated.
    #[error("that is another name: nothing is given back")]
    AnotherName,
    /// A command that only reads, where there is nothing to be read.
    #[error("there is no store in {}; name its configuration with --config, or start in its folder", .0.display())]
    NoStore(PathBuf),
    /// A key of a repository.
    #[error("there is no key with this id; --list shows all")]
    NoKey,
    /// A key that cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A reload without a daemon.
    #[error(
        "no daemon runs on the store in {}; the next one reads the configuration when it starts. One that runs on \
         another store has to be restarted: storage.path cannot be changed by a reload",
        .0.display()
    )]
    NoDaemon(PathBuf),
    /// The configuration cannot be written as YAML.
    #[error(transparent)]
    Show(Box<dyn std::error::Error + Send + Sync>),
    /// The log.
    #[error(transparent)]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Threads and signals.
    #[error(transparent)]
    System(io::Error),
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
}
