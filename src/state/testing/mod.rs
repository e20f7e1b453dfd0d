//! Databases for the tests of this room: each test has one of its own, on either engine.

mod accounts;
mod packages;
mod races;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

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
    Postgres(&'static Cluster, String),
}

impl Database {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Fails where PostgreSQL is not installed.
    pub(super) fn postgres() -> Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(|| Cluster::start(&programs().expect("PostgreSQL is not installed")));
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
            Self::Postgres(_, url) => State::connect(url).await.unwrap(),
        }
    }
}

/// The folder of PostgreSQL's programs: the newest of Debian's packages, else where the path has them.
fn programs() -> Option<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = versions.collect();
    debian.sort();
    debian.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").is_file())
}

/// A server with nothing in it, on a socket in a folder of its own. It ends with this process, however that ends: its
/// shell waits for the end of its input.
#[derive(Debug)]
pub(super) struct Cluster {
    programs: PathBuf,
    folder: String,
    databases: AtomicU32,
    _shell: Child,
}

/// Text is ordered otherwise than by its bytes unless a statement says so, as servers usually do.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d /tmp/hexkeep-postgres.XXXXXX)
trap '"$1/pg_ctl" -D "$folder/data" -m immediate stop >"$folder/log" 2>&1 || true; rm -rf "$folder"' EXIT
trap exit HUP INT TERM
"$1/initdb" -D "$folder/data" -U hexkeep -A trust -E UTF8 --locale=C --locale-provider=icu --icu-locale=en --no-sync >&2
"$1/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-k $folder -c listen_addresses='' -c fsync=off -c deadlock_timeout=100ms" start >&2
echo "$folder"
cat >/dev/null
"#;

impl Cluster {
    fn start(programs: &Path) -> Self {
        // It refuses to run as root.
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT, "sh"]).arg(programs).current_dir("/");
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut folder = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        if folder.is_empty() {
            panic!("PostgreSQL does not start: {}", String::from_utf8_lossy(&shell.wait_with_output().unwrap().stderr));
        }
        let (programs, folder) = (programs.to_owned(), folder.trim_end().to_owned());
        Self { programs, folder, databases: AtomicU32::new(0), _shell: shell }
    }

    /// Makes a database; its address.
    fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(self.programs.join("createdb"));
        let made = command.args(["-h", &self.folder, "-U", "hexkeep", "-T", "template0", &name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgres:///{name}?host={}&user=hexkeep", self.folder)
    }
}
