//! Durable state in SQL: what must not be lost.
//!
//! SQLite in the storage path, with a write-ahead log and `synchronous=FULL`: whatever a method here has answered is on
//! the disk. One file a subject; the schema is in `migrations/` and never edited after a release. `engine` alone knows the
//! database: every statement runs on PostgreSQL too.

mod account_error;
pub mod audit;
mod beside;
pub mod claims;
pub mod devices;
mod engine;
pub mod exemptions;
pub mod fetches;
pub mod grants;
pub mod keys;
pub mod ledger;
pub mod organizations;
mod owner;
pub mod owners;
mod package;
pub mod package_snapshot;
pub mod packages;
pub mod pins;
pub mod releases;
#[cfg(test)]
mod testing;
pub mod tokens;
pub mod users;
pub mod waivers;

pub use account_error::AccountError;
pub use engine::DatabaseError;
pub use owner::Owner;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{ConnectError, FileError, Pool, Statement, Transaction};

use crate::clock::Timestamp;

/// An operation on the durable state failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database cannot be opened or brought up to this version's schema.
    #[error("cannot open the database {path}; restore it from a backup, or move it away to begin with an empty one")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database of this address cannot be reached or brought up to this version's schema.
    #[error(
        "cannot use the PostgreSQL database; see that its address is right, and that it runs and takes connections"
    )]
    Connect {
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The PostgreSQL server of this address takes no writes.
    #[error(
        "this PostgreSQL server is a standby, which takes no writes; give the address of the primary, or promote this server"
    )]
    Standby,
    /// PostgreSQL has tools of its own for this.
    #[error("cannot {operation}: the database is PostgreSQL; use its own {tools}")]
    OnPostgres {
        /// What was to be done.
        operation: &'static str,
        /// What does it.
        tools: &'static str,
    },
    /// A query failed.
    #[error("cannot {operation} in the database")]
    Query {
        /// What was to be done.
        operation: &'static str,
        /// What the database says.
        #[source]
        source: DatabaseError,
    },
}

impl StateError {
    fn query(operation: &'static str) -> impl FnOnce(DatabaseError) -> Self {
        move |source| Self::Query { operation, source }
    }

    fn file(operation: &'static str, tools: &'static str) -> impl FnOnce(FileError) -> Self {
        move |error| match error {
            FileError::Database(source) => Self::Query { operation, source },
            FileError::Postgres => Self::OnPostgres { operation, tools },
        }
    }
}

/// The open database; clones share it.
#[derive(Clone, Debug)]
pub struct State {
    pool: Pool,
    /// One transaction of this process writes at a time: SQLite has one writer, and what is in memory follows in the order
    /// of the commits. Waiting here is fair and needs no polling.
    writer: Arc<tokio::sync::Mutex<()>>,
    /// Names that are claimed, as far as they were asked for.
    books: Arc<claims::ClaimIndex>,
}

/// Name of the database file below the storage path.
pub const FILE: &str = "state.sqlite";

impl State {
    /// Opens the database in `folder`, making it if need be, and brings its schema up to date. The caller holds the
    /// store's lock.
    pub async fn open(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(FILE);
        let pool = Pool::open(&path).await.map_err(|source| StateError::Open { path, source })?;
        Ok(Self::of(pool))
    }

    /// Connects to a PostgreSQL database, which several processes may use, and brings its schema up to date.
    pub async fn connect(url: &str) -> Result<Self, StateError> {
        match Pool::connect(url).await {
            Ok(pool) => Ok(Self::of(pool)),
            Err(ConnectError::Standby) => Err(StateError::Standby),
            Err(source) => Err(StateError::Connect { source: source.into() }),
        }
    }

    fn of(pool: Pool) -> Self {
        Self { pool, writer: Arc::default(), books: Arc::default() }
    }

    /// Lets the database check itself; the findings, none where it is sound. PostgreSQL refuses.
    pub async fn check(&self) -> Result<Vec<String>, StateError> {
        self.pool.check().await.map_err(StateError::file("check the tables", "amcheck (pg_amcheck)"))
    }

    /// Copies the database, as it is at one moment, to a new file at `path`. Others may go on writing meanwhile.
    /// PostgreSQL refuses.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StateError> {
        self.pool.copy_to(path).await.map_err(StateError::file("copy the tables", "pg_dump or pg_basebackup"))
    }

    /// Closes the database after what is under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction that writes, with the lock that every writer holds.
struct Writing<'a> {
    // In this order: the lock is given back after the transaction is over.
    transaction: Transaction,
    operation: &'static str,
    /// What it does to claims; told to the names in memory once it is committed.
    claims: Vec<claims::Change>,
    books: &'a claims::ClaimIndex,
    _one: tokio::sync::MutexGuard<'a, ()>,
}

/// What a transaction relies on while it looks and writes: nobody else who names the same comes in between, in whatever
/// process. In SQLite that holds for all transactions, since there is one writer.
#[derive(Clone, Copy, Debug)]
enum Lock<'a> {
    /// The releases, owners and names of a repository.
    Repository(&'a str),
    /// Users, organizations, members, keys and rights.
    Accounts,
    /// What people have decided about a view: pins and waivers.
    View(&'a str),
    /// Nothing: each statement is right whatever comes before it, or finds out by itself that it is not.
    None,
}

impl Lock<'_> {
    /// The row of `topics` that stands for it.
    fn topic(self) -> Option<String> {
        match self {
            Self::Repository(key) => Some(format!("repo:{key}")),
            Self::Accounts => Some("accounts".to_owned()),
            Self::View(key) => Some(format!("view:{key}")),
            Self::None => None,
        }
    }
}

/// An error that may say that a transaction was taken back for the sake of another one, and is worth repeating.
trait Repeatable {
    fn may_be_repeated(&self) -> bool;
}

impl Repeatable for StateError {
    fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Query { source, .. } if source.is_for_the_sake_of_another())
    }
}

impl Repeatable for AccountError {
    fn may_be_repeated(&self) -> bool {
        matches!(self, Self::State(error) if error.may_be_repeated())
    }
}

/// How often a transaction is repeated that the database took back for the sake of another one.
const REPETITIONS: u32 = 2;

impl State {
    /// Waits for its turn, begins a transaction under a lock and hands it to `work`, which commits it: it is taken back
    /// otherwise. Where the database takes it back for the sake of another one, the work is done again.
    async fn writing<'a, T, E, F>(
        &'a self,
        operation: &'static str,
        lock: Lock<'_>,
        work: impl Fn(Writing<'a>) -> F,
    ) -> Result<T, E>
    where
        E: From<StateError> + Repeatable,
        F: Future<Output = Result<T, E>>,
    {
        let topic = lock.topic();
        let mut left = REPETITIONS;
        loop {
            let one = self.writer.lock().await;
            let done = match self.pool.begin(topic.as_deref()).await {
                Ok(transaction) => {
                    work(Writing { transaction, operation, claims: Vec::new(), books: &self.books, _one: one }).await
                }
                Err(error) => Err(StateError::query(operation)(error).into()),
            };
            match done {
                Err(error) if left > 0 && error.may_be_repeated() => left -= 1,
                done => return done,
            }
        }
    }
}

/// In one order in every process: so of two that write many rows of one table, one waits for the other, and neither for
/// both.
fn in_order<'a, T, K: Ord>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<&'a T> {
    let mut rows: Vec<&T> = rows.iter().collect();
    rows.sort_by_key(|row| key(row));
    rows
}

impl Writing<'_> {
    fn connection(&mut self) -> &mut Transaction {
        &mut self.transaction
    }

    async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StateError> {
        statement.execute(&mut self.transaction).await.map_err(StateError::query(self.operation))
    }

    /// Adds a line about an account to the audit log.
    async fn line(&mut self, now: Timestamp, line: owner::Line<'_>, by: &audit::Actor) -> Result<(), StateError> {
        let wrap = StateError::query(self.operation);
        audit::insert_account(&mut self.transaction, now, line, by).await.map_err(wrap)
    }

    async fn commit(self) -> Result<(), StateError> {
        self.transaction.commit().await.map_err(StateError::query(self.operation))?;
        self.claims.iter().for_each(|change| self.books.apply(change));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until every connection is back in the pool, so that the next one is one that was used.
    async fn settle(state: &State) {
        let Pool::Sqlite(pool) = &state.pool else { panic!("SQLite is meant") };
        while pool.num_idle() != usize::try_from(pool.size()).unwrap() {
            tokio::task::yield_now().await;
        }
    }

    async fn write(state: &State, detail: &str) -> Result<(), StateError> {
        state
            .writing("write a line", Lock::None, |mut writing| async move {
                add(&mut writing, detail).await?;
                writing.commit().await
            })
            .await
    }

    async fn add(writing: &mut Writing<'_>, detail: &str) -> Result<(), StateError> {
        let now = Timestamp::from_secs(1);
        let subject = ("acme", None, None);
        let by = audit::Actor::default();
        let added = audit::insert(writing.connection(), now, audit::Action::Purged, subject, detail, &by).await;
        added.map_err(StateError::query("write a line"))
    }

    #[tokio::test]
    async fn what_is_written_after_a_full_disk_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        write(&state, "before").await.unwrap();
        settle(&state).await;

        // The limit is the connection's; one below what there is means what there is.
        let filled = state.writing("fill the disk", Lock::None, |mut writing| async move {
            writing.run(engine::sql("PRAGMA max_page_count = 1")).await?;
            let full = add(&mut writing, &"x".repeat(1 << 20)).await;
            writing.run(engine::sql("PRAGMA max_page_count = 1000000")).await?;
            full
        });
        let full: StateError = filled.await.unwrap_err();
        let StateError::Query { source, .. } = &full else { panic!("{full:?}") };
        assert_eq!(source.code().as_deref(), Some("13"), "SQLITE_FULL: {source}");
        settle(&state).await;

        // One that is taken back, and one that is committed.
        let refused =
            state.writing("write a line", Lock::None, |mut writing| async move { add(&mut writing, "refused").await });
        refused.await.unwrap();
        settle(&state).await;
        write(&state, "after").await.unwrap();

        let another = State::open(folder.path()).await.unwrap();
        let seen = another.audit_log("acme", 10).await.unwrap();
        let seen: Vec<&str> = seen.iter().map(|entry| &*entry.detail).collect();
        assert_eq!(seen, ["after", "before"]);
        write(&another, "of another").await.unwrap();
    }
}
