//! The daemon as a user runs it: a configuration file, a process, SIGTERM.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hexkeep");
const TO_START: Duration = Duration::from_secs(60);
const TO_STOP: Duration = Duration::from_secs(60);

/// Whose signature clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Upstream,
    Own,
}

/// A running daemon in a folder of its own.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Option<Child>,
    listen: String,
    dir: TempDir,
}

impl Daemon {
    /// `config` has `storage: path: ./store` and port 0.
    pub(crate) fn start(config: &str) -> Self {
        let dir = TempDir::with_prefix("hexkeep-daemon-").unwrap();
        std::fs::write(dir.path().join("hexkeep.yaml"), config).unwrap();
        let mut daemon = Self { child: None, listen: String::new(), dir };
        daemon.run();
        daemon
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Stops it and starts it again on the same store; the address may be another one.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// The same with another configuration.
    pub(crate) fn restart_with(&mut self, config: &str) {
        self.stop();
        std::fs::write(self.config_file(), config).unwrap();
        self.run();
    }

    /// The key that verifies what `repository` hands out, from the command line.
    pub(crate) fn public_key(&self, repository: &str) -> String {
        let pem = self.hexkeep(&["public-key", repository], "");
        assert_eq!(pem.matches("-----BEGIN PUBLIC KEY-----").count(), 1, "one PEM entry: {pem}");
        pem
    }

    /// Runs a command on its store to the end, with `input` as standard input; what it printed on standard output.
    pub(crate) fn hexkeep(&self, args: &[&str], input: &str) -> String {
        let mut child = Command::new(PROGRAM)
            .args(args)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What it does not read is no fault of its own.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "hexkeep {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let child = Command::new(PROGRAM)
            .args(["serve", "--config"])
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let child = self.child.insert(child);
        let addresses = self.dir.path().join("store/addresses.json");
        let started = Instant::now();
        self.listen = loop {
            if let Some(listen) = std::fs::read(&addresses).ok().and_then(|json| listen_address(&json)) {
                break listen;
            }
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                panic!("the daemon ended with {status} before it listened");
            }
            assert!(started.elapsed() < TO_START, "the daemon did not listen within {TO_START:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
    }

    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        let _ = kill_process(pid, Signal::TERM);
        let (done, ended) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let status = child.wait();
            let _ = done.send(());
            status
        });
        let in_time = ended.recv_timeout(TO_STOP).is_ok();
        if !in_time {
            let _ = kill_process(pid, Signal::KILL);
        }
        let status = waiting.join().unwrap().unwrap();
        if !std::thread::panicking() {
            assert!(in_time, "the daemon did not stop within {TO_STOP:?} of SIGTERM");
            assert!(status.success(), "the daemon ended with {status} after SIGTERM");
        }
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("hexkeep.yaml")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("hexkeep.log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", std::fs::read_to_string(self.log_file()).unwrap_or_default());
        }
    }
}

fn listen_address(json: &[u8]) -> Option<String> {
    let addresses: serde_json::Value = serde_json::from_slice(json).ok()?;
    Some(addresses.get("listen")?.as_str()?.to_owned())
}
