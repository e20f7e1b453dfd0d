//! A whole daemon in this process: real listeners, a real store in a temporary folder, and an upstream, a clock and a
//! disk that the test controls.
//!
//! ```ignore
//! let mut hub = Hub::start().await;                 // repository `hexpm`, key of the test registry
//! let tarball = hub.registry.add("jason", "1.0.0");
//! hub.publish();                                    // the upstream serves it from now on
//! let answer = hub.get("/packages/jason").await;
//! assert_eq!((answer.status, answer.cache()), (200, "miss"));
//! hub.clock.advance(Duration::from_secs(61));       // freshness moves, deadlines do not
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::SAFETY;
use super::disk::FaultyDisk;
use super::process::{Daemon, Home};
use super::registry::TestRegistry;
use super::upstream::ScriptedUpstream;
use bytes::Bytes;
use hexkeep::app::{App, Inputs};
use hexkeep::clock::{ManualClock, Timestamp};
use hexkeep::config::{self, Source};
use hexkeep::http::listener::ListenerTimeouts;
use hexkeep::store::disk::Disk;
use reqwest::header::HeaderMap;

/// A daemon under test.
pub(crate) struct Hub {
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) registry: TestRegistry,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) disk: Arc<FaultyDisk>,
    pub(crate) client: reqwest::Client,
    home: Home,
    patience: ListenerTimeouts,
    app: Option<App>,
    /// Where the daemon is a process.
    process: Option<Daemon>,
    is_process: bool,
}

/// What a test wants to be different.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// More lines for the repository `hexpm`, in YAML flow: `network: strict, metadata_ttl: 5s`.
    pub(crate) repository: String,
    /// More lines for `server`: `deadline: 1s`.
    pub(crate) server: String,
    /// More lines for `storage`.
    pub(crate) storage: String,
    /// More lines for `installs`, which has the same upstream.
    pub(crate) installs: String,
    /// More repositories, whole: `acme: { type: remote, … }`, one a line. `{url}` is the upstream's address and
    /// `{key}` the path of the test registry's public key.
    pub(crate) more: Vec<String>,
    /// All repositories, instead of `hexpm` and those; one a line, with the same words in braces.
    pub(crate) instead: Vec<String>,
    /// More sections, whole.
    pub(crate) top: String,
    /// How long the public listener waits for its clients.
    pub(crate) patience: ListenerTimeouts,
    /// Whether the daemon is a process of its own. Its clock is the machine's, and there is no [`Hub::app`].
    pub(crate) process: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        let none = String::new;
        Self {
            repository: none(),
            server: none(),
            storage: none(),
            installs: none(),
            more: Vec::new(),
            instead: Vec::new(),
            top: none(),
            patience: ListenerTimeouts::default(),
            process: false,
        }
    }
}

/// A file of a store: its path there, and its content.
pub(crate) type StoredFile = (PathBuf, Vec<u8>);

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// What the cache did.
    pub(crate) fn cache(&self) -> &str {
        self.header("x-hexkeep-cache")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Hub {
    /// A daemon with one remote repository, `hexpm`, and its defaults.
    pub(crate) async fn start() -> Self {
        Self::with(Wishes::default()).await
    }

    /// The same, with more settings for the repository: `network: strict`.
    pub(crate) async fn with_repository(settings: &str) -> Self {
        Self::with(Wishes { repository: settings.to_owned(), ..Wishes::default() }).await
    }

    /// The same, with any settings.
    pub(crate) async fn with(wishes: Wishes) -> Self {
        Self::with_files(wishes, &[]).await
    }

    /// The same, with files beside the configuration: name and content.
    pub(crate) async fn with_files(wishes: Wishes, files: &[(&str, &str)]) -> Self {
        Self::with_store(wishes, files, &[]).await
    }

    /// The same, on a store that another daemon has left ([`Hub::into_store`]).
    pub(crate) async fn with_store(wishes: Wishes, files: &[(&str, &str)], store: &[StoredFile]) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let mut hub = Self {
            upstream,
            registry: TestRegistry::new("hexpm"),
            clock: Arc::new(ManualClock::new(Timestamp::from(SystemTime::now()))),
            disk: Arc::new(FaultyDisk::default()),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            home: Home::new(""),
            patience: wishes.patience,
            app: None,
            process: None,
            is_process: wishes.process,
        };
        hub.home.write("registry.pem", &hub.registry.public_key());
        for (name, content) in files {
            hub.home.write(name, content);
        }
        for (path, content) in store {
            let path = hub.data().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        hub.configure(&wishes);
        hub.launch().await;
        hub
    }

    /// Stops the daemon; its store, for other daemons.
    pub(crate) async fn into_store(mut self) -> Vec<StoredFile> {
        self.stop().await;
        let (mut store, mut folders) = (Vec::new(), vec![self.data()]);
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    store.push((path.strip_prefix(self.data()).unwrap().to_owned(), std::fs::read(path).unwrap()));
                }
            }
        }
        store
    }

    /// Writes the configuration anew; takes effect at the next launch or reload.
    pub(crate) fn configure(&self, wishes: &Wishes) {
        let url = self.upstream.url();
        let flow = |settings: &str| if settings.is_empty() { String::new() } else { format!(", {settings}") };
        let mut text = format!(
            "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0{} }}\n\
             storage: {{ path: data{} }}\n\
             installs: {{ url: \"{url}\"{} }}\n\
             repositories:\n",
            flow(&wishes.server),
            flow(&wishes.storage),
            flow(&wishes.installs),
        );
        if wishes.instead.is_empty() {
            let more = flow(&wishes.repository.replace("{url}", &url));
            text.push_str(&format!("  hexpm: {{ type: remote, url: \"{url}\", public_key: registry.pem{more} }}\n"));
        }
        for more in wishes.instead.iter().chain(&wishes.more) {
            text.push_str(&format!("  {}\n", more.replace("{url}", &url).replace("{key}", "registry.pem")));
        }
        text.push_str(&wishes.top);
        std::fs::write(self.config_file(), text).unwrap();
    }

    /// Starts the daemon on what the folder holds.
    pub(crate) async fn launch(&mut self) {
        if self.is_process {
            self.process = Some(tokio::task::block_in_place(|| self.home.serve()));
            return;
        }
        let file = self.config_file();
        let reread = move || config::load(Source::File(file.clone()), [], "/".as_ref()).map(|loaded| loaded.settings);
        let settings = reread().unwrap_or_else(|error| panic!("{error}"));
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        let inputs = Inputs {
            clock: Arc::clone(&self.clock) as _,
            disk,
            patience: self.patience,
            logging: None,
            reread: Some(Arc::new(reread)),
        };
        self.app = Some(App::start(settings, inputs).await.unwrap());
    }

    /// Stops the daemon in good order.
    pub(crate) async fn stop(&mut self) {
        if let Some(daemon) = self.process.take() {
            tokio::task::block_in_place(|| daemon.stop());
        }
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Stops it and starts it again on the same store: memory is empty, the disk is not.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    /// Lets it die at once and starts it again: a process by SIGKILL.
    ///
    /// One in this process goes on with the store as it was at this moment. What a kill leaves is what the files hold, which
    /// is what a copy of them holds: what the daemon had in its memory is in neither. A copy is not made in one moment, so
    /// that it may have more kinds of halves than a kill leaves; the shared memory of SQLite is left out, as nobody has
    /// it open after a kill.
    pub(crate) async fn die(&mut self) {
        if let Some(daemon) = self.process.take() {
            daemon.kill();
        } else {
            let (data, left) = (self.data(), self.home.path("left"));
            copy_files(&data, &left);
            self.stop().await;
            std::fs::remove_dir_all(&data).unwrap();
            std::fs::rename(&left, &data).unwrap();
        }
        self.launch().await;
    }

    /// The running daemon.
    pub(crate) fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    /// Makes the upstream serve what the registry holds now.
    pub(crate) fn publish(&self) {
        self.registry.publish(&self.upstream);
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        match &self.process {
            Some(daemon) => daemon.url(),
            None => format!("http://{}", self.app().addresses().listen),
        }
    }

    /// Where the store is.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.data()
    }

    /// The configuration's file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.home.path("hexkeep.yaml")
    }

    /// A GET request, to its end.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// A GET request with headers, to its end.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(reqwest::Method::GET, path, headers).await
    }

    /// Any request, to its end.
    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// A request whose body is read by the test; fails the test where there is no answer.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url())).send().await.unwrap()
    }

    /// A page of the ops listener.
    pub(crate) async fn ops(&self, path: &str) -> Answer {
        let response = self.client.get(format!("http://{}{path}", self.app().addresses().ops)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// The value of a metric by its name and labels as they are printed; 0 where it is not there.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = self.ops("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap()).unwrap_or_default()
    }

    /// Runs a command with the configuration of the daemon, which may run or not: exit code, standard output, standard error.
    pub(crate) async fn command(&self, args: &[&str]) -> (i32, String, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let config = self.config_file();
        let output = tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hexkeep"));
            command.env_clear().args(args).arg("--config").arg(config).output().unwrap()
        });
        let output = output.await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// Every file below the storage path but the index and the database, relative, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(self.data()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.retain(|file| {
            ["blobs/", "registry/", "sealed/", "lists/", "answers/", "tmp/"].iter().any(|area| file.starts_with(area))
        });
        files.sort();
        files
    }
}

/// Copies the files of a store. A database comes before its log, so that what is written meanwhile is whole or not there.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_files(&path, &copy);
        } else if path.is_file() && path.extension().is_none_or(|extension| extension != "sqlite-shm") {
            std::fs::copy(&path, copy).unwrap();
        }
    }
}

/// Waits for `condition` to hold; for effects that no event announces.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < SAFETY {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come to pass: {what}");
}
