//! PostgreSQL servers for tests.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The certificate of the servers and its key, for `localhost` and 127.0.0.1, signed by the test authority.
const CERTIFICATE: &str = include_str!("../../../tests/it/support/tls/server.pem");

/// The folder of PostgreSQL's programs: the newest Debian package, else from `PATH`.
fn programs() -> Option<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = versions.collect();
    debian.sort();
    debian.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join("initdb").is_file())
}

/// A server on a socket in its own folder, and on TCP with TLS. It ends with this process, however that ends: its shell
/// waits for the end of its input.
#[derive(Debug)]
pub(in crate::state) struct Cluster {
    programs: PathBuf,
    folder: String,
    /// The address on which it listens.
    pub(super) listens: SocketAddr,
    databases: AtomicU32,
    _shell: Child,
}

/// A database of a server.
#[derive(Clone, Debug)]
pub(in crate::state) struct Address {
    pub(super) name: String,
    folder: String,
    port: u16,
}

impl Address {
    /// The address of the database on the socket in the server's folder.
    pub(super) fn by_socket(&self) -> String {
        format!("postgres:///{}?host={}&port={}&user=hexkeep", self.name, self.folder, self.port)
    }

    /// The address of the database on TCP, at `server` and `port`.
    pub(super) fn by_tcp(&self, server: &str, port: u16, more: &str) -> String {
        format!("postgres://hexkeep@{server}:{port}/{}?{more}", self.name)
    }
}

/// The default collation is not by bytes, as on usual servers.
const SCRIPT: &str = r#"
set -eu
umask 077
programs=$1 address=$2 port=$3 primary=$4
folder=$(mktemp -d /tmp/hexkeep-postgres.XXXXXX)
trap '"$programs/pg_ctl" -D "$folder/data" -m immediate stop >"$folder/log" 2>&1 || true; rm -rf "$folder"' EXIT
trap exit HUP INT TERM
if test -z "$primary"; then
  "$programs/initdb" -D "$folder/data" -U hexkeep -A trust -E UTF8 --locale=C --locale-provider=icu --icu-locale=en --no-sync >&2
else
  "$programs/pg_basebackup" -D "$folder/data" -d "$primary" -R -X stream -c fast --no-sync >&2
fi
printf '%s' "$CERTIFICATE" >"$folder/server.pem"
"$programs/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-k $folder -p $port -c listen_addresses=$address -c ssl=on -c ssl_cert_file=$folder/server.pem -c ssl_key_file=$folder/server.pem -c fsync=off -c deadlock_timeout=100ms" start >&2
echo "$folder"
cat >/dev/null
"#;

impl Cluster {
    /// The server that has a database for each test.
    pub(super) fn of_all() -> &'static Self {
        static OF_ALL: OnceLock<Cluster> = OnceLock::new();
        OF_ALL.get_or_init(Self::primary)
    }

    /// An empty server. Panics if PostgreSQL is not installed.
    pub(super) fn primary() -> Self {
        Self::start(&programs().expect("PostgreSQL is not installed"), "")
    }

    /// A standby of this server.
    pub(super) fn standby(&self) -> Self {
        let primary = format!("host={} port={} user=hexkeep", self.folder, self.listens.port());
        Self::start(&self.programs, &primary)
    }

    fn start(programs: &Path, primary: &str) -> Self {
        let listens = free_address();
        let mut command = as_the_server("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(programs).arg(listens.ip().to_string()).arg(listens.port().to_string());
        command.arg(primary).env("CERTIFICATE", CERTIFICATE);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut folder = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        if folder.is_empty() {
            panic!("PostgreSQL does not start: {}", String::from_utf8_lossy(&shell.wait_with_output().unwrap().stderr));
        }
        let (programs, folder) = (programs.to_owned(), folder.trim_end().to_owned());
        Self { programs, folder, listens, databases: AtomicU32::new(0), _shell: shell }
    }

    /// Creates a database.
    pub(super) fn new_database(&self) -> Address {
        let address = self.database(format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(self.programs.join("createdb"));
        command.args(["-h", &self.folder, "-p", &address.port.to_string(), "-U", "hexkeep", "-T", "template0"]);
        let made = command.arg(&address.name).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        address
    }

    /// An existing database.
    pub(super) fn database(&self, name: String) -> Address {
        Address { name, folder: self.folder.clone(), port: self.listens.port() }
    }

    /// Promotes a standby to the primary, and waits until it is.
    pub(super) fn promote(&self) {
        let mut command = as_the_server(self.programs.join("pg_ctl"));
        let promoted = command.args(["-D", &format!("{}/data", self.folder), "-w", "promote"]).output().unwrap();
        assert!(promoted.status.success(), "{}", String::from_utf8_lossy(&promoted.stderr));
    }
}

/// A command of the user that runs the server, which refuses to run as root.
fn as_the_server(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if is_root { "setpriv".as_ref() } else { program.as_ref() });
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    }
    command.current_dir("/");
    command
}

/// A free port on a loopback address that no other process uses, so that it stays free until the server binds it.
fn free_address() -> SocketAddr {
    let [_, b, c, d] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | b, c, d);
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}
