//! Durable state in an SQL database: everything that must not be lost.
//!
//! By default the database is SQLite in the storage path, with a write-ahead log and `synchronous=FULL`: when a method
//! here returns, its write is durable. There is one file per subject; the schema is in `migrations/` and is never
//! edited after a release. Only `engine` depends on the database: every statement also runs on PostgreSQL.

mod account_error;
pub mod audit;
pub mod claims;
pub mod devices;
mod engine;
pub mod exemptions;
pub mod fetches;
pub mod grants;
pub mod keys;
pub mod ledger;
pub mod organizations;
mod owed_sidecars;
mod owner;
pub mod owners;
mod package;
pub mod package_snapshot;
pub mod packages;
pub mod pins;
pub mod releases;
pub mod sidecar_records;
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

/// An error of the durable state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database cannot be opened or migrated to the schema of this version.
    #[error(
        "cannot open the database {path}; restore it from a backup, or move it away to start with an empty database"
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// The error of the database.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database at this address is unreachable or cannot be migrated to the schema of this version.
    #[error(
        "cannot use the PostgreSQL database; check its address, and that the server is running and accepts connections"
    )]
    Connect {
        /// The error of the database.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The PostgreSQL server at this address is read-only.
    #[error(
        "this PostgreSQL server is a standby, which is read-only; use the address of the primary, or promote this server"
    )]
    Standby,
    /// The operation is not supported for PostgreSQL, which has its own tools for it.
    #[error("cannot {operation}: the database is PostgreSQL; use its own {tools}")]
    OnPostgres {
        /// The operation.
        operation: &'static str,
        /// The tools to use instead.
        tools: &'static str,
    },
    /// A query failed.
    #[error("cannot {operation} in the database")]
    Query {
        /// The operation.
        operation: &'static str,
        /// The error of the database.
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
    /// Only one transaction of this process writes at a time: SQLite has one writer, and the data in memory is updated
    /// in the order of the commits. Waiting for this lock is fair and needs no polling.
    writer: Arc<tokio::sync::Mutex<()>>,
    /// The claimed names that were read so far.
    books: Arc<claims::ClaimIndex>,
    /// The marks of packages whose sidecars are owed.
    marks: Arc<owed_sidecars::Marks>,
}

/// The name of the database file below the storage path.
pub const FILE: &str = "state.sqlite";

impl State {
    /// Opens the database in `folder`, creates it if needed, and migrates its schema. The caller holds the store's
    /// lock.
    pub async fn open(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(FILE);
        let pool = Pool::open(&path).await.map_err(|source| StateError::Open { path, source })?;
        Ok(Self::of(pool))
    }

    /// Connects to a PostgreSQL database, which several processes may share, and migrates its schema.
    pub async fn connect(url: &str) -> Result<Self, StateError> {
        match Pool::connect(url).await {
            Ok(pool) => Ok(Self::of(pool)),
            Err(ConnectError::Standby) => Err(StateError::Standby),
            Err(source) => Err(StateError::Connect { source: source.into() }),
        }
    }

    fn of(pool: Pool) -> Self {
        Self { pool, writer: Arc::default(), books: Arc::default(), marks: Arc::default() }
    }

    /// Runs the integrity check of the database; returns the errors. Not supported for PostgreSQL.
    pub async fn check(&self) -> Result<Vec<String>, StateError> {
        self.pool.check().await.map_err(StateError::file("check the tables", "amcheck (pg_amcheck)"))
    }

    /// Copies a snapshot of the database to a new file at `path`. Other writes may continue in the meantime. Not
    /// supported for PostgreSQL.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StateError> {
        self.pool.copy_to(path).await.map_err(StateError::file("copy the tables", "pg_dump or pg_basebackup"))
    }

    /// Closes the database after its current operations.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A write transaction, with the lock that every writer holds.
struct Writing<'a> {
    // The order of these fields matters: the lock is released after the transaction has ended.
    transaction: Transaction,
    operation: &'static str,
    /// The changes of claims, applied to the names in memory after the commit.
    claims: Vec<claims::Change>,
    books: &'a claims::ClaimIndex,
    /// The marks of packages whose sidecars are owed, applied to those in memory after the commit.
    owed: Vec<owed_sidecars::Mark>,
    marks: &'a owed_sidecars::Marks,
    _one: tokio::sync::MutexGuard<'a, ()>,
}

/// The data that a transaction reads and then changes. Transactions with the same lock wait for each other, in all
/// processes. In SQLite all write transactions wait for each other.
#[derive(Clone, Copy, Debug)]
enum Lock<'a> {
    /// The releases, owners and names of a repository.
    Repository(&'a str),
    /// Users, organizations, members, keys and grants.
    Accounts,
    /// The pins and waivers of a view.
    View(&'a str),
    /// No lock: each statement is correct whatever happens before it, or detects conflicts itself.
    None,
}

impl Lock<'_> {
    /// The row of `topics` for this lock.
    fn topic(self) -> Option<String> {
        match self {
            Self::Repository(key) => Some(format!("repo:{key}")),
            Self::Accounts => Some("accounts".to_owned()),
            Self::View(key) => Some(format!("view:{key}")),
            Self::None => None,
        }
    }
}

/// An error after which a transaction may be repeated, because the database rolled it back in favour of another one.
trait Repeatable {
    fn may_be_repeated(&self) -> bool;
}

impl Repeatable for StateError {
    fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Query { source, .. } if source.is_conflict())
    }
}

impl Repeatable for AccountError {
    fn may_be_repeated(&self) -> bool {
        matches!(self, Self::State(error) if error.may_be_repeated())
    }
}

/// The number of repetitions of a transaction that the database rolled back in favour of another one.
const REPETITIONS: u32 = 2;

impl State {
    /// Waits for the writer's lock, begins a transaction under `lock` and passes it to `work`, which commits it;
    /// otherwise it is rolled back. If the database rolls it back in favour of another one, the work is repeated.
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
                    let (books, marks) = (&*self.books, &*self.marks);
                    let (claims, owed) = (Vec::new(), Vec::new());
                    work(Writing { transaction, operation, claims, books, owed, marks, _one: one }).await
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

/// Sorts rows in the same order in every process, so that two processes that write many rows of one table cannot
/// deadlock.
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

    /// Adds an entry about an account to the audit log.
    async fn line(&mut self, now: Timestamp, line: owner::Line<'_>, by: &audit::Actor) -> Result<(), StateError> {
        let wrap = StateError::query(self.operation);
        audit::insert_account(&mut self.transaction, now, line, by).await.map_err(wrap)
    }

    async fn commit(self) -> Result<(), StateError> {
        self.transaction.commit().await.map_err(StateError::query(self.operation))?;
        self.claims.iter().for_each(|change| self.books.apply(change));
        self.owed.into_iter().for_each(|mark| self.marks.apply(mark));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until every connection is back in the pool, so that the next one is a used one.
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

        // The limit applies to the connection; a limit below the current size means the current size.
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

        // One transaction is rolled back, and one is committed.
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
