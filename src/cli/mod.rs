//! The command line: one file a subcommand.

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

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::{CommandError, TerminalError};
use crate::config::{ConfigError, Loaded, Source};
use crate::display_text::on_a_terminal;
use crate::operations::outcome::Text;
use crate::operations::sentence;

/// A bad configuration (EX_USAGE of sysexits.h). Bad arguments end with 2, as clap does it.
const EXIT_CONFIG: u8 = 64;

/// A verifying, caching repository manager for Hex: mix, rebar3 and gleam packages.
///
/// Without a configuration file it mirrors hex.pm on http://127.0.0.1:4000 and keeps its cache in ./hexkeep-data.
#[derive(Debug, Parser)]
#[command(name = "hexkeep", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file (YAML); without it the one that HEXKEEP_CONFIG names, and without that the built-in defaults
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve,
    /// Check a configuration and say everything that is wrong with it
    CheckConfig(check_config::Args),
    /// Print the configuration in force, secrets redacted
    ShowConfig,
    /// Make a signing key
    Keygen(keygen::Args),
    /// Print the public key that clients of a repository verify with
    PublicKey(public_key::Args),
    /// Print the lines that make a client work with a repository
    ClientSetup(client_setup::Args),
    /// Forget cached packages, so that they are fetched again
    Purge(purge::Args),
    /// Make the running daemon read its configuration again
    Reload,
    /// Make and change users
    #[command(subcommand)]
    User(account::User),
    /// Make and revoke API keys
    #[command(subcommand)]
    Key(account::Key),
    /// Make organizations and change their members
    #[command(subcommand)]
    Org(account::Org),
    /// Let users and organizations read repositories
    #[command(subcommand)]
    Grant(account::Grant),
    /// Remove releases of a local repository, or let their versions be used again
    #[command(subcommand)]
    Release(local::Release),
    /// Publish the packages of a folder to a local repository
    Import(local::Import),
    /// Make a local repository anew from its files
    Reindex(local::Reindex),
    /// Say which member of a repository answers a name, and why
    Explain(explain::Args),
    /// Keep what lock files name to be had, whatever a policy says later
    Pin(policy::Pin),
    /// Take pins back: from now on a policy says again what may be had
    Unpin(space::Unpin),
    /// Ask what a policy holds, and why; waive it
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Say who has fetched a package from here: credentials and address ranges, first, last, how often
    WhoHas(policy::WhoHas),
    /// Print the audit log
    Audit(local::Audit),
    /// Fetch what lock files name, so that a build needs no upstream
    Prefetch(prefetch::Args),
    /// Bring a whole registry, or a part of it, and keep up with it
    Mirror(mirror::Args),
    /// Carry what a build needs to where there is no network, in one file
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Say how much room everything takes, and how often it was of use
    Stats(space::Stats),
    /// Remove cached files that nothing needs
    Gc(space::Gc),
    /// Save what cannot be fetched or made again in one file
    Backup(backup::Args),
    /// Make a store from a backup
    Restore(backup::Args),
    /// Prove everything in the store again, by signature or checksum
    VerifyStore(verify_store::Args),
}

impl Cli {
    /// Runs the command and says how it went: 0, 1 for a failure, 64 for a bad configuration.
    pub fn run(self) -> ExitCode {
        let source = self.config.or_else(configured).map_or(Source::Defaults, Source::File);
        let outcome = match self.command {
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
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(CommandError::Said) => ExitCode::FAILURE,
            Err(CommandError::Config(error)) => {
                say(&error.to_string());
                ExitCode::from(EXIT_CONFIG)
            }
            Err(error) => {
                say(&format!("hexkeep: {}", sentence(&error)));
                ExitCode::FAILURE
            }
        }
    }
}

/// The file that the environment names. An empty variable is one that was taken back.
fn configured() -> Option<PathBuf> {
    std::env::var_os("HEXKEEP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A line for the person at the terminal, on standard error: standard output is for what a command was asked for.
fn say(text: &str) {
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stderr(), "{}", on_a_terminal(text.trim_end()));
}

/// What a command was asked for. Whoever has read enough of it closes the pipe. What strangers have written is in it, so
/// nothing goes out here and in [`say`] that a terminal acts on.
fn print(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{}", on_a_terminal(text.trim_end()))
        && error.kind() != ErrorKind::BrokenPipe
    {
        say(&format!("hexkeep: cannot write to standard output: {error}"));
    }
}

/// What came of an order or a work.
fn tell(text: &Text) -> Result<(), CommandError> {
    for line in &text.lines {
        print(line);
    }
    for remark in &text.remarks {
        say(remark);
    }
    if text.failed { Err(CommandError::Said) } else { Ok(()) }
}

/// Loads the configuration from `source` and this process's environment.
fn load(source: Source) -> Result<Loaded, ConfigError> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let env = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    crate::config::load(source, env, &cwd)
}

/// A small runtime for commands.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Ok(runtime.map_err(TerminalError::System)?.block_on(future))
}
