//! Databases for the tests of this room: each test has one of its own, on either engine.

mod accounts;
mod cluster;
mod packages;
mod races;
mod rest;
mod servers;
mod texts;
mod topics;

use cluster::{Address, Cluster};

use super::State;

/// Makes of each test, which takes a [`Database`], one on SQLite and one on PostgreSQL.
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

/// A database that is empty at first.
#[derive(Debug)]
pub(super) enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(&'static Cluster, Address),
}

impl Database {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Fails where PostgreSQL is not installed.
    pub(super) fn postgres() -> Self {
        let cluster = Cluster::of_all();
        Self::Postgres(cluster, cluster.new_database())
    }

    /// An empty one of the same engine.
    pub(super) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(cluster, _) => Self::Postgres(cluster, cluster.new_database()),
        }
    }

    /// Opens it; several may have it open.
    pub(super) async fn open(&self) -> State {
        match self {
            Self::Sqlite(folder) => State::open(folder.path()).await.unwrap(),
            Self::Postgres(_, address) => State::connect(&address.by_socket()).await.unwrap(),
        }
    }
}
