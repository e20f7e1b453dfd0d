//! Runs one program to its end: own home, bare environment, captured output, a time-out.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

const TIME_LIMIT: Duration = Duration::from_secs(180);

/// Where the program `name` is installed.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The program `name`, for a trial that needs it.
pub(crate) fn program(name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| panic!("{name} is not on PATH: the table of trials misses a need"))
}

pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\n*** {line}");
}

/// What a client said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// stdout and stderr, as they came.
    pub(crate) text: String,
}

/// One run of a client.
#[derive(Debug)]
pub(crate) struct Client {
    command: Command,
}

impl Client {
    /// `home` becomes the client's whole world: nothing of the caller's environment but `PATH` is passed on.
    pub(crate) fn new(program: &Path, home: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        Self { command }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn args<A: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// What is typed; nothing, unless this is said.
    pub(crate) fn types(mut self, text: &str) -> Self {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // It fits into a pipe, whether anybody reads it or not.
        writer.write_all(text.as_bytes()).unwrap();
        self.command.stdin(reader);
        self
    }

    /// Runs to the end; a client that takes too long is ended with everything it started.
    pub(crate) fn run(self) -> Ran {
        self.start().end()
    }

    /// Starts it and lets it run.
    pub(crate) fn start(mut self) -> Running {
        let (mut reader, writer) = std::io::pipe().unwrap();
        self.command.stdout(writer.try_clone().unwrap()).stderr(writer).process_group(0);
        let shown = format!("{:?}", self.command);
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        // The command keeps the writing ends of the pipe open, and with them the reading of it.
        drop(self);
        let (pieces, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                if pieces.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Running { child, shown, said, text: Vec::new(), began: Instant::now(), ended: false }
    }

    /// Runs to the end and returns what it said; anything but success fails the test with all of it.
    pub(crate) fn succeed(self) -> String {
        let shown = format!("{:?}", self.command);
        let ran = self.run();
        assert!(ran.status.success(), "{shown} ended with {}; it said:\n{}", ran.status, ran.text);
        ran.text
    }
}

/// A client under way; dropped before its end, it is ended with everything it started.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    shown: String,
    said: mpsc::Receiver<Vec<u8>>,
    text: Vec<u8>,
    began: Instant,
    ended: bool,
}

impl Running {
    /// Waits until it has said what `find` looks for.
    pub(crate) fn await_text<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.text()) {
                return found;
            }
            assert!(self.hears_more(), "{} ended without saying what was waited for:\n{}", self.shown, self.text());
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        while self.hears_more() {}
        let status = self.child.wait().unwrap();
        self.ended = true;
        Ran { status, text: self.text() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Waits for more; `false` at the end of its output.
    fn hears_more(&mut self) -> bool {
        let left = TIME_LIMIT.saturating_sub(self.began.elapsed());
        match self.said.recv_timeout(left) {
            Ok(piece) => {
                self.text.extend(piece);
                true
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("{} was still running after {TIME_LIMIT:?}; it said:\n{}", self.shown, self.text())
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
