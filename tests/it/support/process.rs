//! The program as a user runs it: commands, and a daemon in a process of its own, in a folder of their own; for what only
//! a process shows, such as sudden death, exit codes, memory.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::SAFETY;
use super::hub::Answer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hexkeep");

/// A folder with a configuration, `hexkeep.yaml`; its store is `data`.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

/// What a command has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What a command is expected to say.
pub(crate) fn said(code: i32, stdout: &str, stderr: &str) -> Said {
    Said { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

impl Home {
    /// A folder with this configuration.
    pub(crate) fn new(config: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.write("hexkeep.yaml", config);
        home
    }

    /// A folder with a configuration of one repository, `hexpm`, whose upstream is at `url` and whose public key is
    /// `key`; `more` is added to the repository: `, signature: own`.
    pub(crate) fn remote(url: &str, key: &str, more: &str) -> Self {
        let home = Self::new(&Self::config(url, more));
        home.write("registry.pem", key);
        home
    }

    /// The configuration of [`Home::remote`].
    pub(crate) fn config(url: &str, more: &str) -> String {
        format!(
            "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\n\
             log: {{ format: json }}\n\
             storage: {{ path: data }}\n\
             installs: {{ url: \"{url}\" }}\n\
             repositories:\n  \
             hexpm: {{ type: remote, url: \"{url}\", public_key: registry.pem{more} }}\n"
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The files in these areas of the store, by their paths in it.
    pub(crate) fn stored(&self, areas: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders: Vec<PathBuf> = areas.iter().map(|area| self.data().join(area)).collect();
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(self.data()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs a command to its end, with `--config hexkeep.yaml`.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let mut all = vec!["--config", "hexkeep.yaml"];
        all.extend(args);
        self.run_with(&all, &[])
    }

    /// Runs a command to its end with exactly these arguments, and nothing but `env` in its environment.
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        Self::said(self.command(args, env).output().unwrap())
    }

    /// Runs a command to its end, with `--config hexkeep.yaml`, and gives it something to read.
    pub(crate) fn run_fed(&self, args: &[&str], input: &str) -> Said {
        let args = [&["--config", "hexkeep.yaml"], args].concat();
        let mut child = self.command(&args, &[]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Self::said(child.wait_with_output().unwrap())
    }

    /// Runs a command to its end, with `--config hexkeep.yaml`; its standard output is this one.
    pub(crate) fn run_into(&self, args: &[&str], stdout: impl Into<Stdio>) -> Said {
        let args = [&["--config", "hexkeep.yaml"], args].concat();
        Self::said(self.command(&args, &[]).stdout(stdout).output().unwrap())
    }

    /// Runs a command to its end, with `--config hexkeep.yaml` and a variable that need not be text.
    pub(crate) fn run_with_bytes(&self, args: &[&str], name: &str, value: &[u8]) -> Said {
        let args = [&["--config", "hexkeep.yaml"], args].concat();
        Self::said(self.command(&args, &[]).env(name, OsStr::from_bytes(value)).output().unwrap())
    }

    fn said(output: std::process::Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        // A signal has no code.
        let code = output.status.code().unwrap_or(-1);
        Said { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts a command, with `--config hexkeep.yaml`, and does not wait for its end.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut all = vec!["--config", "hexkeep.yaml"];
        all.extend(args);
        let mut command = self.command(&all, &[]);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .env_clear()
            .envs(env.iter().copied())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn serve(&self) -> Daemon {
        self.serve_with(&["--config", "hexkeep.yaml", "serve"], &[])
    }

    /// The same, with a limit that a shell sets: `ulimit -f 8192`.
    pub(crate) fn serve_limited(&self, limit: &str) -> Daemon {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{limit}; exec {PROGRAM} --config hexkeep.yaml serve")])
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.await_start(command)
    }

    /// The same as [`Home::serve`], with other arguments and variables; the store must be `data`.
    pub(crate) fn serve_with(&self, args: &[&str], env: &[(&str, &str)]) -> Daemon {
        self.await_start(self.command(args, env))
    }

    fn await_start(&self, mut command: Command) -> Daemon {
        let addresses = self.data().join("addresses.json");
        // One that was killed has left its own.
        let _ = fs::remove_file(&addresses);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = stderr.read(&mut piece) {
                written.lock().extend_from_slice(&piece[..count]);
            }
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut daemon = Daemon { child, log, reader: Some(reader), addresses: BTreeMap::new(), client };
        daemon.await_addresses(&addresses);
        daemon
    }
}

/// A running command; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end; its exit code.
    pub(crate) fn wait(mut self) -> i32 {
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already dead where the test killed it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    addresses: BTreeMap<String, SocketAddr>,
    pub(crate) client: reqwest::Client,
}

impl Daemon {
    fn await_addresses(&mut self, file: &Path) {
        let began = Instant::now();
        self.addresses = loop {
            if let Some(addresses) = fs::read(file).ok().and_then(|json| serde_json::from_slice(&json).ok()) {
                break addresses;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < SAFETY,
                "the daemon did not start ({ended:?}): {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.addresses["listen"]
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen())
    }

    /// A request whose body is read by the test.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.url())).send().await
    }

    /// A GET request, to its end.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let response = self.open(path).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// A line of `/proc/PID/status` that is a number of kibibytes, in bytes.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
        value.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
    }

    /// From now on `VmHWM` is the most memory since now.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock()).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the log holds `text`, which comes half a second late at most.
    pub(crate) fn await_log(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < SAFETY, "the log never said {text:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits for its end; its exit code and its whole log.
    pub(crate) fn stop(self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end; its exit code and its whole log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < SAFETY, "the daemon did not stop: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status.code(), self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a JSON log that are access lines.
pub(crate) fn access_lines(log: &str) -> Vec<serde_json::Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")));
    lines.filter(|line: &serde_json::Value| line["target"] == "hexkeep::access").collect()
}
