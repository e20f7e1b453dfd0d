//! Executes commands and jobs on an open store.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::account_refusals::CommandNames;
use super::commands::{Command, InspectCommand};
use super::job_exclusion::RunningJobs;
use super::jobs::Job;
use super::outcome::CommandOutcome;
use super::setup::Setup;
use super::{OperationError, Refusal};
use crate::auth::{Accounts, WriteGrant};
use crate::cache::SharedCaches;
use crate::repository::{FetchLog, Installs, LocalRepository, RemoteRepository, Repository};
use crate::state::State;
use crate::state::audit::Actor;
use crate::tasks::report::Reporter;

/// An open store and the active configuration. Clones share both.
#[derive(Clone, Debug)]
pub struct Operator {
    pub(super) shared: SharedCaches,
    pub(super) state: State,
    pub(super) fetch_log: Arc<FetchLog>,
    setup: Arc<ArcSwap<Setup>>,
    /// Running jobs that exclude each other.
    pub(super) under_way: RunningJobs,
}

impl Operator {
    /// Creates an operator with `setup`, which [`Operator::replace_setup`] can replace.
    pub fn new(shared: SharedCaches, state: State, fetch_log: Arc<FetchLog>, setup: Setup) -> Self {
        let (setup, under_way) = (Arc::new(ArcSwap::from_pointee(setup)), RunningJobs::default());
        Self { shared, state, fetch_log, setup, under_way }
    }

    /// Replaces the active setup.
    pub fn replace_setup(&self, setup: Setup) {
        self.setup.store(Arc::new(setup));
    }

    /// The active setup.
    pub(super) fn setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// The accounts of the active setup.
    pub(super) fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.setup.load().accounts)
    }

    /// The installers of the active setup.
    pub(super) fn installs(&self) -> Arc<Installs> {
        Arc::clone(&self.setup.load().installs)
    }

    /// All repositories.
    pub(super) fn repositories(&self) -> Vec<Repository> {
        self.setup.load().repositories.iter().map(|one| one.repository.clone()).collect()
    }

    /// All repositories of type remote.
    pub(super) fn remotes(&self) -> Vec<Arc<RemoteRepository>> {
        self.repositories().iter().filter_map(|repository| repository.as_remote().map(Arc::clone)).collect()
    }

    /// The repository with this key.
    pub(super) fn repository(&self, key: &str) -> Result<Repository, Refusal> {
        Ok(self.setup.load().managed(key)?.repository.clone())
    }

    /// The remote repository with this key.
    pub(super) fn remote(&self, key: &str) -> Result<Arc<RemoteRepository>, Refusal> {
        let found = self.repository(key)?;
        found.as_remote().map(Arc::clone).ok_or_else(|| Refusal::NoUpstream(key.to_owned()))
    }

    /// The local repository with this key.
    pub(super) fn local(&self, key: &str) -> Result<Arc<LocalRepository>, Refusal> {
        let found = self.repository(key)?;
        let local = found.as_local().map(Arc::clone);
        local.ok_or_else(|| Refusal::NotLocal(key.to_owned()))
    }

    /// The local repository with this key, and an administrator's grant for it.
    pub(super) fn local_with_grant(&self, key: &str, by: Actor) -> Result<(Arc<LocalRepository>, WriteGrant), Refusal> {
        let local = self.local(key)?;
        let grant = WriteGrant::administrator(local.key().clone(), by);
        Ok((local, grant))
    }

    /// Runs a command.
    pub async fn administer(&self, command: Command, by: Actor) -> Result<CommandOutcome, OperationError> {
        let names = CommandNames::of(&command);
        self.dispatch(command, by).await.map_err(|error| names.add_names(error))
    }

    async fn dispatch(&self, command: Command, by: Actor) -> Result<CommandOutcome, OperationError> {
        Ok(match command {
            Command::User(order) => self.run_user_command(order, &by).await?.into(),
            Command::Key(order) => self.run_key_command(order, &by).await?.into(),
            Command::Organization(order) => self.run_organization_command(order, &by).await?.into(),
            Command::Grant(order) => self.run_grant_command(order, &by).await?.into(),
            Command::Release(order) => self.run_release_command(order, by).await?.into(),
            Command::Policy(order) => self.run_policy_command(order, &by).await?,
            Command::Inspect(order) => self.inspect(order).await?,
        })
    }

    async fn inspect(&self, command: InspectCommand) -> Result<CommandOutcome, OperationError> {
        Ok(match command {
            InspectCommand::Explain { repository, package, version, json } => {
                self.explain(&repository, &package, version.as_deref(), json).await?.into()
            }
            InspectCommand::ClientSetup { client, repository, user, role, client_version, json } => {
                let reader = super::client_setup::reader(user, role.as_deref(), client_version.as_deref())?;
                self.client_setup(&client, &repository, reader, json).await?.into()
            }
            InspectCommand::Stats { repository } => self.stats(repository.as_deref()).await?.into(),
            InspectCommand::WhoHas { package, version, repository } => {
                self.who_has(repository.as_deref(), package, version.as_deref()).await?.into()
            }
            InspectCommand::Audit { repository, account, page } => {
                self.audit_lines(repository.as_deref(), account.as_ref(), page).await?.into()
            }
        })
    }

    /// Runs a job and reports its progress. If the future is dropped, the job stops at the next safe point.
    pub async fn work(&self, job: Job, report: Reporter) -> Result<CommandOutcome, OperationError> {
        Ok(match job {
            Job::VerifyStore { repair } => self.scrub(repair, report).await?.into(),
            Job::Prefetch(prefetch) => self.prefetch(prefetch, &report).await?.into(),
            Job::Backup { file } => self.backup(file, report).await?.into(),
            Job::Import { repository, folder } => self.import(repository, folder, &report).await?.into(),
            Job::Mirror(mirror) => self.mirror(mirror, report).await?.into(),
            Job::Bundle(bundle) => self.bundle(bundle, report).await?.into(),
            Job::Collect(collect) => self.collect(collect, report).await?.into(),
        })
    }
}
