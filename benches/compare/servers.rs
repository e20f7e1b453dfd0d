//! The upstream and everything that is compared in front of it.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, find, free_address};
use crate::registry::Registry;

/// What a line of each access log says: the daemon's own log has these and more.
const LINE: &str =
    "log_format line '$remote_addr [$time_iso8601] \"$request\" $status $body_bytes_sent $request_time';";

/// The upstream: nginx over a folder.
#[derive(Debug)]
pub(crate) struct Origin {
    address: String,
    log: PathBuf,
    _process: Process,
}

impl Origin {
    pub(crate) fn start(dir: &Path, folder: &Path) -> Self {
        let address = free_address();
        let log = dir.join("access.log");
        let location = format!("root {}; default_type application/octet-stream;", folder.display());
        // Its log is not buffered: requests are counted in it.
        let http = format!("access_log {} line; sendfile on;", log.display());
        let process = nginx(dir, &address, &http, &location);
        Self { address, log, _process: process }
    }

    /// How often `path` was asked for so far.
    pub(crate) fn requests_of(&self, path: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(&format!(" {path} "))).count()
    }
}

/// Something that is measured.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    process: Process,
    /// Ended with it; its memory is not counted, its time is.
    _logger: Option<Process>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Bytes it holds now.
    pub(crate) fn memory(&self) -> u64 {
        self.process.memory(false)
    }

    /// The most it held since the last reset.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.process.memory(true)
    }

    pub(crate) fn reset_peak_memory(&self) {
        self.process.reset_peak_memory();
    }
}

/// The daemon first.
pub(crate) fn start_all(dir: &Path, origin: &Origin, registry: &Registry) -> Vec<Server> {
    let mut servers = vec![
        hexkeep(&dir.join("hexkeep"), origin, registry),
        nginx_cache("nginx, sendfile", &dir.join("nginx-sendfile"), origin, "on"),
        nginx_cache("nginx, no sendfile", &dir.join("nginx"), origin, "off"),
    ];
    match (find("varnishd"), find("varnishncsa")) {
        (Some(varnishd), Some(varnishncsa)) => {
            servers.push(varnish(&varnishd, &varnishncsa, &dir.join("varnish"), origin));
        }
        _ => println!("SKIPPED: varnish is not installed"),
    }
    servers
}

pub(crate) fn hexkeep(dir: &Path, origin: &Origin, registry: &Registry) -> Server {
    std::fs::create_dir_all(dir).unwrap();
    let key = registry.public_key.lines().fold(String::new(), |mut key, line| {
        let _ = writeln!(key, "      {line}");
        key
    });
    let config = format!(
        "server:\n  listen: 127.0.0.1:0\n  ops_listen: 127.0.0.1:0\n\
         storage:\n  path: ./store\n\
         default_repository: hexpm\n\
         repositories:\n  hexpm:\n    type: remote\n    url: http://{}\n    public_key: |\n{key}\
         \x20   signature: upstream\n    metadata_ttl: 1h\n",
        origin.address
    );
    let file = dir.join("hexkeep.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexkeep"));
    command.args(["serve", "--config"]).arg(&file);
    let mut process = Process::start(command, &dir.join("access.log"));
    let addresses = dir.join("store/addresses.json");
    let address = process.wait_until(|| {
        let addresses: serde_json::Value = serde_json::from_slice(&std::fs::read(&addresses).ok()?).ok()?;
        Some(addresses.get("listen")?.as_str()?.to_owned())
    });
    Server { name: "hexkeep", address, process, _logger: None }
}

/// nginx as a cache: one fill for all readers of a file, entity tags and keep-alive as the others have them.
fn nginx_cache(name: &'static str, dir: &Path, origin: &Origin, sendfile: &str) -> Server {
    let address = free_address();
    let http = format!(
        "access_log {log} line buffer=64k flush=1s; sendfile {sendfile}; tcp_nopush on; keepalive_requests 100000000;\n\
         proxy_cache_path {cache} keys_zone=cache:16m max_size=10g inactive=1d use_temp_path=off;\n\
         upstream origin {{ server {origin}; keepalive 32; }}",
        log = dir.join("access.log").display(),
        cache = dir.join("cache").display(),
        origin = origin.address,
    );
    let location = "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                    proxy_cache cache; proxy_cache_valid 200 1h;\n\
                    proxy_cache_lock on; proxy_cache_lock_age 60s; proxy_cache_lock_timeout 60s;";
    let process = nginx(dir, &address, &http, location);
    Server { name, address, process, _logger: None }
}

fn nginx(dir: &Path, address: &str, http: &str, location: &str) -> Process {
    std::fs::create_dir_all(dir).unwrap();
    // Workers give up root, and could then not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let here = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/{kind};"))
        .join(" ");
    let config = format!(
        "{user} daemon off; worker_processes auto; pid {here}/pid; error_log {here}/error.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n{LINE}\n{temporary}\n{http}\n\
         server {{ listen {address}; location / {{ {location} }} }}\n}}\n"
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(find("nginx").expect("looked for at the start"));
    command.arg("-p").arg(dir).arg("-c").arg(&file).arg("-e").arg(dir.join("error.log"));
    let mut process = Process::start(command, &dir.join("output.log"));
    process.wait_until(|| listens(address));
    process
}

/// varnish with its cache in memory, and a log writer as Debian sets one up.
fn varnish(varnishd: &Path, varnishncsa: &Path, dir: &Path, origin: &Origin) -> Server {
    std::fs::create_dir_all(dir).unwrap();
    let address = free_address();
    let work = dir.join("work");
    let mut command = Command::new(varnishd);
    command.args(["-F", "-j", "none", "-a", &address, "-b", &origin.address, "-t", "3600", "-s", "malloc,2g", "-n"]);
    command.arg(&work);
    let mut process = Process::start(command, &dir.join("output.log"));
    process.wait_until(|| listens(&address));
    let mut command = Command::new(varnishncsa);
    command.args(["-F", "%h %t \"%r\" %s %b %D", "-w"]).arg(dir.join("access.log")).arg("-n").arg(&work);
    let logger = Process::start(command, &dir.join("logger.log"));
    Server { name: "varnish", address, process, _logger: Some(logger) }
}

fn listens(address: &str) -> Option<()> {
    TcpStream::connect(address).ok().map(drop)
}
