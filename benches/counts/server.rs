//! A daemon without its listeners: requests go to the service of a connection, in this thread.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use hexkeep::app::{Core, Inputs};
use hexkeep::clock::{ManualClock, Timestamp};
use hexkeep::config::{self, Source};
use hexkeep::http::Site;
use hexkeep::http::stack::{Stack, stack};
use hexkeep::store::StoreLock;
use hexkeep::telemetry::logging::{Format, Logging};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tempfile::TempDir;
use tower::Service as _;
use tracing_subscriber::filter::LevelFilter;

use super::administrator;

/// The key of the upstream and of the daemon.
pub(crate) const KEY: &str = include_str!("../../src/trust/testdata/test-only-key.pem");

/// The agent of a client that reads `x-hex-message`.
const MIX: &str = "hex/2.5.1 (elixir/1.19.4) (otp/28)";

/// The moment at which the daemon's clock stands, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A daemon, and the service of one connection to it.
pub(crate) struct Server {
    core: Arc<Core>,
    stack: Stack,
    _folder: TempDir,
}

impl Server {
    /// A daemon with this configuration, of which `key.pem` and `public.pem` are files.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let public = hexkeep::trust::PrivateKey::from_pem(KEY).unwrap().public().to_spki_pem().to_owned();
        for (name, text) in [("hexkeep.yaml", config), ("key.pem", KEY), ("public.pem", &public)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let settings = config::load(Source::File(folder.path().join("hexkeep.yaml")), [], "/".as_ref());
        let settings = settings.unwrap_or_else(|error| panic!("{error}")).settings;
        let logging = Logging::start(Format::Text, LevelFilter::INFO).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(NOW)));
        let inputs = Inputs { clock, logging: Some(logging.clone()), ..Inputs::default() };
        let lock = StoreLock::take(&settings.storage.path).unwrap();
        let core = Core::open(settings, lock, inputs).await.unwrap();
        let site = Site::new(
            core.live(([127, 0, 0, 1], 4000).into()).unwrap(),
            Arc::clone(&core.shared.metrics),
            Some(logging),
        );
        let stack = stack(&Arc::new(site), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        Self { core, stack, _folder: folder }
    }

    /// A key of an administrator.
    pub(crate) async fn key(&self) -> String {
        administrator::key(&self.core).await
    }

    /// Answers a request, to the end of its body.
    pub(crate) async fn answer(&self, request: Request<Full<Bytes>>) -> (StatusCode, http::HeaderMap, Bytes) {
        let response = self.stack.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    }
}

/// A request as mix sends it; headers with an empty value are left out.
pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", "hex.example").header("user-agent", MIX).header("accept-encoding", "gzip");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body)).unwrap()
}
