//! The real program in a process of its own, for what only a process shows: sudden death, exit codes, memory.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hexkeep::app::Addresses;
use tempfile::TempDir;

use super::hub::{Answer, eventually};
use super::registry::TestRegistry;
use super::upstream::ScriptedUpstream;

/// No command takes this long.
const SAFETY: Duration = Duration::from_secs(20);

/// A folder with a configuration and a store, for one program after the other.
pub(crate) struct Home {
    folder: TempDir,
    client: reqwest::Client,
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) addresses: Addresses,
    client: reqwest::Client,
}

impl Home {
    /// A home for a daemon with one repository, `hexpm`; `storage` and `repository` are more lines in YAML flow.
    pub(crate) fn new(upstream: &ScriptedUpstream, registry: &TestRegistry, storage: &str, repository: &str) -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let flow = |settings: &str| if settings.is_empty() { String::new() } else { format!(", {settings}") };
        let text = format!(
            "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\n\
             storage: {{ path: data{} }}\n\
             repositories:\n  hexpm: {{ type: remote, url: \"{}\", public_key: registry.pem{} }}\n",
            flow(storage),
            upstream.url(),
            flow(repository),
        );
        std::fs::write(home.folder.path().join("hexkeep.yaml"), text).unwrap();
        std::fs::write(home.folder.path().join("registry.pem"), registry.public_key()).unwrap();
        home
    }

    /// Where the store is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hexkeep"));
        command.arg("--config").arg(self.folder.path().join("hexkeep.yaml")).args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("HEXKEEP_")) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command to its end. One that does not end in time is killed, and has no exit code.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > SAFETY {
                child.kill().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.wait_with_output().unwrap()
    }

    /// Starts the daemon and waits until it says where it listens; its log goes to a file `log`.
    pub(crate) async fn serve(&self) -> Daemon {
        let addresses = self.data().join("addresses.json");
        // One that was killed has left its own.
        let _ = std::fs::remove_file(&addresses);
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut child = self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut found = None;
        eventually("the daemon says where it listens", async || {
            assert_eq!(child.try_wait().unwrap(), None, "{}", self.log());
            found = std::fs::read(&addresses).ok().map(|text| serde_json::from_slice(&text).unwrap());
            found.is_some()
        })
        .await;
        Daemon { child, addresses: found.unwrap(), client: self.client.clone() }
    }

    /// What daemons have logged here.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Daemon {
    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A request whose body is read by the test.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("http://{}{path}", self.addresses.listen)).send().await
    }

    /// A GET request, to its end.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let response = self.open(path).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// A line of `/proc/PID/status` that is a number of kibibytes, in bytes.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
        value.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already dead where the test killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
