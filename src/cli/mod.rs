//! The command line. Each subcommand has its own file.

mod account;
mod backup;
mod bundle;
mod check_config;
mod client_setup;
mod error;
mod explain;
mod job;
mod keygen;
mod local;
mod mirror;
mod order;
mod policy;
mod prefetch;
mod public_key;
mod purge;
mod reload;
mod serve;
mod show_config;
mod space;
mod store;
mod verify_store;

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::{CommandError, TerminalError};
use crate::config::{ConfigError, Loaded, Source};
use crate::display_text::on_a_terminal;
use crate::operations::outcome::Text;
use crate::operations::sentence;

/// Exit code for invalid arguments.
const EXIT_ARGUMENTS: u8 = 2;

/// Exit code for an invalid configuration (EX_USAGE of sysexits.h).
const EXIT_CONFIG: u8 = 64;

/// A proxy and private registry for Hex packages (mix, rebar3, gleam) that verifies and caches them
///
/// Without a configuration file, hexkeep serves a cache of hex.pm on http://127.0.0.1:4000 and stores its files in
/// ./hexkeep-data.
#[derive(Debug, Parser)]
#[command(name = "hexkeep", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file (YAML) [default: the file in $HEXKEEP_CONFIG, otherwise built-in settings]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve,
    /// Check a configuration file and report all problems
    CheckConfig(check_config::Args),
    /// Print the active configuration with secrets redacted
    ShowConfig,
    /// Generate a signing key
    Keygen(keygen::Args),
    /// Print the public key with which clients verify a repository
    PublicKey(public_key::Args),
    /// Print the lines that make a client work with a repository
    ClientSetup(client_setup::Args),
    /// Remove packages from the cache, so that they are downloaded again
    Purge(purge::Args),
    /// Reload the configuration of the running server
    Reload,
    /// Create and manage users
    #[command(subcommand)]
    User(account::User),
    /// Create and revoke API keys
    #[command(subcommand)]
    Key(account::Key),
    /// Create organizations and manage their members
    #[command(subcommand)]
    Org(account::Org),
    /// Manage read access of users and organizations to repositories
    #[command(subcommand)]
    Grant(account::Grant),
    /// Remove releases from a local repository, and make versions and package names available again
    #[command(subcommand)]
    Release(local::Release),
    /// Publish all packages in a folder to a local repository
    Import(local::Import),
    /// Rebuild a local repository from its files
    Reindex(local::Reindex),
    /// Explain which repository serves a package, and why
    Explain(explain::Args),
    /// Protect the versions in your lock files from policy changes
    Pin(policy::Pin),
    /// Remove pins, so that the policy applies again to the versions in your lock files
    Unpin(space::Unpin),
    /// Show which releases a policy holds and why, and manage waivers
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Show who downloaded a package: account, credential, address range, first and last time, and count
    WhoHas(policy::WhoHas),
    /// Print the audit log
    Audit(local::Audit),
    /// Download the releases in lock files to the cache, so that a build works without the upstream
    Prefetch(prefetch::Args),
    /// Download all packages of a remote repository, or a part of them; run it again to update the copy
    Mirror(mirror::Args),
    /// Move packages to a server without network access, in one signed file
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Show disk usage and cache hit rates
    Stats(space::Stats),
    /// Remove cached files that are no longer needed
    Gc(space::Gc),
    /// Save all data that cannot be downloaded or rebuilt, in one file
    Backup(backup::Args),
    /// Create a store from a backup
    Restore(backup::Args),
    /// Verify every file in the store again, by signature or checksum
    VerifyStore(verify_store::Args),
}

impl Cli {
    /// Runs the command in the arguments of this process. Returns exit code 0 for success, 1 for a failure, 2 for invalid
    /// arguments, 64 for an invalid configuration.
    pub fn main() -> ExitCode {
        match Self::try_parse() {
            Ok(cli) => cli.run(),
            // Invalid arguments are quoted in the error, so it is printed without colours and escaped like other output.
            Err(error) if error.use_stderr() => {
                print_stderr(&error.render().to_string());
                ExitCode::from(EXIT_ARGUMENTS)
            }
            // The help or the version.
            Err(text) => exit_code(check_output(text.print())),
        }
    }

    fn run(self) -> ExitCode {
        let source = self.config.or_else(config_file_from_env).map_or(Source::Defaults, Source::File);
        exit_code(match self.command {
            Command::Serve => serve::run(source),
            Command::CheckConfig(args) => check_config::run(args, source),
            Command::ShowConfig => show_config::run(source),
            Command::Keygen(args) => keygen::run(&args),
            Command::PublicKey(args) => public_key::run(args, source),
            Command::ClientSetup(args) => client_setup::run(args, source),
            Command::Purge(args) => purge::run(args, source),
            Command::Reload => reload::run(source),
            Command::User(order) => account::user(order, source),
            Command::Key(order) => account::key(order, source),
            Command::Org(order) => account::org(order, source),
            Command::Grant(order) => account::grant(order, source),
            Command::Release(order) => local::release(order, source),
            Command::Import(args) => local::import(args, source),
            Command::Reindex(args) => local::reindex(args, source),
            Command::Explain(args) => explain::run(args, source),
            Command::Pin(args) => policy::pin(args, source),
            Command::Policy(order) => policy::policy(order, source),
            Command::WhoHas(args) => policy::who_has(args, source),
            Command::Audit(args) => local::audit(args, source),
            Command::Prefetch(args) => prefetch::run(args, source),
            Command::Mirror(args) => mirror::run(args, source),
            Command::Bundle(args) => bundle::run(args, source),
            Command::Stats(args) => space::stats(args, source),
            Command::Gc(args) => space::gc(args, source),
            Command::Unpin(args) => space::unpin(args, source),
            Command::Backup(args) => backup::run(args, source),
            Command::Restore(args) => backup::restore(args, source),
            Command::VerifyStore(args) => verify_store::run(&args, source),
        })
    }
}

/// Prints the error of a command, if there is one, and converts the outcome to an exit code.
fn exit_code(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::AlreadyReported) => ExitCode::FAILURE,
        Err(CommandError::Config(error)) => {
            print_stderr(&error.to_string());
            ExitCode::from(EXIT_CONFIG)
        }
        Err(error) => {
            print_stderr(&format!("hexkeep: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The configuration file from the environment variable. An empty variable counts as unset.
fn config_file_from_env() -> Option<PathBuf> {
    std::env::var_os("HEXKEEP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Prints a line for people on standard error. Standard output is for the result of the command.
fn print_stderr(text: &str) {
    // If standard error is closed, the failure cannot be reported anywhere.
    let _ = writeln!(io::stderr(), "{}", on_a_terminal(text.trim_end()));
}

/// Prints a part of the result on standard output. The text may come from package authors, so this function and
/// [`print_stderr`] escape everything that would control a terminal.
fn print(text: &str) -> Result<(), CommandError> {
    check_output(writeln!(io::stdout(), "{}", on_a_terminal(text.trim_end())))
}

/// Converts the outcome of writing to standard output. A reader may close the pipe early; this is not an error.
fn check_output(written: io::Result<()>) -> Result<(), CommandError> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(TerminalError::Output(error).into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints the outcome of a command.
fn print_outcome(text: &Text) -> Result<(), CommandError> {
    let printed = text.lines.iter().try_for_each(|line| print(line));
    for remark in &text.remarks {
        print_stderr(remark);
    }
    printed?;
    if text.failed { Err(CommandError::AlreadyReported) } else { Ok(()) }
}

/// Loads the configuration from `source` and this process's environment.
fn load(source: Source) -> Result<Loaded, ConfigError> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    crate::config::load(source, std::env::vars_os(), &cwd)
}

/// Runs `future` on a small runtime.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Ok(runtime.map_err(TerminalError::System)?.block_on(future))
}
