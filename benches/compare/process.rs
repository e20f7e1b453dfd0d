//! A server as a process: started in a group of its own, measured with its children, ended by id.

use std::fmt::Debug;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const TO_START: Duration = Duration::from_secs(30);
const TO_STOP: Duration = Duration::from_secs(10);

/// Where a program is installed; servers are not always on a user's `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A port of the loopback that was free a moment ago: neither nginx nor varnish can tell what port 0 became.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// What it prints goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Self { child, log: log.to_path_buf() }
    }

    /// Waits until `ready` has an answer.
    pub(crate) fn wait_until<T>(&mut self, ready: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ready() {
                return answer;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > TO_START {
                panic!("not ready ({ended:?}):\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Of it and all below it, in bytes: what they hold now, or the most they held since the last reset.
    pub(crate) fn memory(&self, peak: bool) -> u64 {
        let field = if peak { "VmHWM:" } else { "VmRSS:" };
        self.family().iter().map(|pid| status_kib(*pid, field) * 1024).sum()
    }

    pub(crate) fn reset_peak_memory(&self) {
        for pid in self.family() {
            // 5: the peak becomes what is held now (proc(5)). Where that is refused, the peak is that of the whole run.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            family.extend(children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            next += 1;
        }
        family
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > TO_STOP {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
