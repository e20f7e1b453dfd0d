//! Databases for the tests of this module: each test has its own, on each engine.

mod accounts;
mod cluster;
mod other_subjects;
mod packages;
mod races;
mod servers;
mod texts;
mod topics;

use cluster::{Address, Cluster};

use super::State;

/// Turns each test function with a [`Database`] argument into one test on SQLite and one on PostgreSQL.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::state::testing::Database::sqlite()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs PostgreSQL: --include-ignored runs it"]
            async fn $test() {
                super::$test($crate::state::testing::Database::postgres()).await;
            })+
        }
    };
}

pub(super) use on_each_engine;

/// An empty database.
#[derive(Debug)]
pub(super) enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(&'static Cluster, Address),
}

impl Database {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Panics if PostgreSQL is not installed.
    pub(super) fn postgres() -> Self {
        let cluster = Cluster::of_all();
        Self::Postgres(cluster, cluster.new_database())
    }

    /// Another empty database of the same engine.
    pub(super) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(cluster, _) => Self::Postgres(cluster, cluster.new_database()),
        }
    }

    /// Opens the database; it can be open several times.
    pub(super) async fn open(&self) -> State {
        match self {
            Self::Sqlite(folder) => State::open(folder.path()).await.unwrap(),
            Self::Postgres(_, address) => State::connect(&address.by_socket()).await.unwrap(),
        }
    }
}
