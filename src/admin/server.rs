//! The administration socket: HTTP over a unix socket that only the daemon's own user can open.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::protocol::Line;
use crate::operations::jobs::Job;
use crate::operations::{Failure, Operations};
use crate::shutdown::Tasks;
use crate::state::audit::By;
use crate::tasks::report::Reporter;

/// Name of the socket below the storage path.
pub const SOCKET: &str = "admin.sock";

/// Bytes of a command; one that brings lock files has many words.
const MAX_COMMAND: usize = 32 * 1024 * 1024;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The socket, bound.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    operations: Arc<dyn Operations>,
}

impl AdminSocket {
    /// Binds the socket at `path`, mode 0600. The caller holds the store's lock, so a socket that is there is left over.
    pub fn bind(path: &Path, operations: Arc<dyn Operations>) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_path_buf(), operations })
    }

    /// Serves until `tasks` are told to stop, then removes the socket.
    pub async fn run(self, tasks: Tasks) {
        loop {
            let accepted = tokio::select! {
                () = tasks.stopping() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let operations = Arc::clone(&self.operations);
                    let inner = tasks.clone();
                    tasks.spawn(async move { serve(stream, operations, inner).await });
                }
                Err(error) => tracing::warn!(%error, "a connection to the administration socket was not accepted"),
            }
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, operations: Arc<dyn Operations>, tasks: Tasks) {
    let service = service_fn(move |request| {
        let (operations, tasks) = (Arc::clone(&operations), tasks.clone());
        async move { Ok::<_, Infallible>(answer(operations, request, tasks).await) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the administration socket ended early");
    }
}

async fn answer(operations: Arc<dyn Operations>, request: Request<Incoming>, tasks: Tasks) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let outcome = match (&method, path.as_str()) {
        (&Method::POST, "/purge") => match command(request).await {
            Ok(purge) => operations.purge(purge, By::console()).await.map(|report| json(&report)),
            Err(failure) => Err(failure),
        },
        (&Method::POST, "/administer") => match command(request).await {
            Ok(order) => operations.administer(order, By::console()).await.map(|outcome| json(&outcome)),
            Err(failure) => Err(failure),
        },
        (&Method::POST, "/reload") => operations.reload().await.map(|changes| json(&changes)),
        (&Method::GET, "/config") => operations.show_config().await.map(|config| json(&config)),
        (&Method::POST, "/public-keys") => match command(request).await {
            Ok(repository) => operations.public_keys(repository).await.map(|keys| json(&keys)),
            Err(failure) => Err(failure),
        },
        (&Method::POST, "/jobs") => match command(request).await {
            Ok(job) => Ok(work(operations, job, &tasks)),
            Err(failure) => Err(failure),
        },
        _ => Err(Failure("this command is not known; are the command and the daemon of one version?".to_owned())),
    };
    outcome.unwrap_or_else(|failure| {
        let mut response = json(&failure.0);
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    })
}

async fn command<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Failure> {
    let body = Limited::new(request.into_body(), MAX_COMMAND).collect().await;
    let bytes = body.map_err(|error| Failure(error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| Failure::of(&error))
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    // What is sent here always has a JSON form.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Response::new(Full::new(Bytes::from(bytes)).boxed_unsync())
}

/// Streams what is told while the work goes on. When whoever asked has gone, or the daemon stops, the work stops where it can.
fn work(operations: Arc<dyn Operations>, job: Job, tasks: &Tasks) -> Response<Body> {
    let (report, mut incoming) = Reporter::new();
    let (lines, outgoing) = mpsc::channel::<Line>(64);
    let stopping = tasks.clone();
    tasks.spawn(async move {
        let forward = async {
            while let Some(event) = incoming.recv().await {
                let _ = lines.send(Line::Event(event)).await;
            }
        };
        let work = async { tokio::join!(operations.work(job, report), forward).0 };
        let last = tokio::select! {
            outcome = work => outcome.map_or_else(|failure| Line::Failure(failure.0), Line::Outcome),
            () = lines.closed() => {
                tracing::info!("a command has gone before its work was done: the work stops where it can");
                return;
            }
            () = stopping.stopping() => Line::Failure("the daemon is stopping".to_owned()),
        };
        let _ = lines.send(last).await;
    });
    let frames = stream::unfold(outgoing, |mut outgoing| async { outgoing.recv().await.map(|line| (line, outgoing)) })
        .map(|line| {
            let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
            bytes.push(b'\n');
            Ok::<_, Infallible>(Frame::data(Bytes::from(bytes)))
        });
    Response::new(StreamBody::new(frames).boxed_unsync())
}
