//! The administration socket: HTTP over a Unix socket that only the user of the daemon can open.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
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
use crate::operations::{OperationError, Operations, sentence};
use crate::shutdown::{TaskError, Tasks};
use crate::state::audit::Actor;
use crate::tasks::report::Reporter;

/// Name of the socket in the storage path.
pub const SOCKET: &str = "admin.sock";

/// Maximum size of a command in bytes. Commands with lock files are large.
const MAX_COMMAND: usize = 32 * 1024 * 1024;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why a request over the socket failed.
#[derive(Debug, thiserror::Error)]
enum SocketError {
    /// The path of the request is unknown.
    #[error("unknown command; check that the command and the daemon are the same version of hexkeep")]
    Unknown,
    /// The request cannot be read.
    #[error(transparent)]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The request cannot be parsed.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The operation failed.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// The bound socket.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    operations: Arc<dyn Operations>,
}

impl AdminSocket {
    /// Binds the socket at `path`, mode 0600. The caller holds the lock of the store, so an existing socket is stale.
    pub fn bind(path: &Path, operations: Arc<dyn Operations>) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_path_buf(), operations })
    }

    /// Serves requests until `tasks` stop, then removes the socket.
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
                Err(error) => tracing::warn!(%error, "cannot accept a connection to the administration socket"),
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
        tracing::debug!(%error, "a connection to the administration socket ended with an error");
    }
}

async fn answer(operations: Arc<dyn Operations>, request: Request<Incoming>, tasks: Tasks) -> Response<Body> {
    let carried_out = AssertUnwindSafe(carry_out(operations, request, tasks)).catch_unwind().await;
    carried_out.unwrap_or_else(|_| Err(TaskError::Panicked.into())).unwrap_or_else(|error| {
        let mut response = json(&sentence(&error));
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        response
    })
}

async fn carry_out(
    operations: Arc<dyn Operations>,
    request: Request<Incoming>,
    tasks: Tasks,
) -> Result<Response<Body>, SocketError> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    Ok(match (&method, path.as_str()) {
        (&Method::POST, "/purge") => json(&operations.purge(command(request).await?, Actor::console()).await?),
        (&Method::POST, "/administer") => {
            json(&operations.administer(command(request).await?, Actor::console()).await?)
        }
        (&Method::POST, "/reload") => json(&operations.reload().await?),
        (&Method::GET, "/config") => json(&operations.show_config().await?),
        (&Method::POST, "/public-keys") => json(&operations.public_keys(command(request).await?).await?),
        (&Method::POST, "/jobs") => work(operations, command(request).await?, &tasks),
        _ => return Err(SocketError::Unknown),
    })
}

async fn command<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, SocketError> {
    let body = Limited::new(request.into_body(), MAX_COMMAND).collect().await;
    Ok(serde_json::from_slice(&body.map_err(SocketError::Body)?.to_bytes())?)
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    // All values can be converted to JSON.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Response::new(Full::new(Bytes::from(bytes)).boxed_unsync())
}

/// Runs a job and streams its events. If the client disconnects or the daemon stops, the job stops at the next safe
/// point.
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
        let work = AssertUnwindSafe(operations.work(job, report)).catch_unwind();
        let work = async { tokio::join!(work, forward).0 };
        let last = tokio::select! {
            outcome = work => match outcome {
                Ok(Ok(outcome)) => Line::Outcome(outcome),
                Ok(Err(error)) => Line::Failure(error.sentence()),
                Err(_) => Line::Failure(TaskError::Panicked.to_string()),
            },
            () = lines.closed() => {
                tracing::info!("a client disconnected before its job was complete; the job stops at the next safe point");
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

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::admin::client::{Daemon, DaemonError};
    use crate::operations::commands::{Command, UserCommand};
    use crate::operations::outcome::CommandOutcome;
    use crate::operations::public_keys::Key;
    use crate::operations::purge::{Purge, PurgeReport};

    /// Operations of which each panics.
    #[derive(Debug)]
    struct Buggy;

    type Carried<'a, T> = BoxFuture<'a, Result<T, OperationError>>;

    impl Operations for Buggy {
        fn purge(&self, _: Purge, _: Actor) -> Carried<'_, PurgeReport> {
            Box::pin(async { panic!("a bug") })
        }

        fn public_keys(&self, _: String) -> Carried<'_, Vec<Key>> {
            Box::pin(async { panic!("a bug") })
        }

        fn work(&self, _: Job, _: Reporter) -> Carried<'_, CommandOutcome> {
            Box::pin(async { panic!("a bug") })
        }

        fn administer(&self, _: Command, _: Actor) -> Carried<'_, CommandOutcome> {
            Box::pin(async { panic!("a bug") })
        }

        fn show_config(&self) -> Carried<'_, String> {
            Box::pin(async { Ok("still here".to_owned()) })
        }

        fn reload(&self) -> Carried<'_, Vec<String>> {
            Box::pin(async { panic!("a bug") })
        }
    }

    #[tokio::test]
    async fn a_daemon_that_goes_on_is_not_said_to_have_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let socket = AdminSocket::bind(&folder.path().join(SOCKET), Arc::new(Buggy)).unwrap();
        let tasks = Tasks::new();
        tasks.spawn(socket.run(tasks.clone()));
        let daemon = Daemon::of(folder.path());
        let panicked = TaskError::Panicked.to_string();

        let work = daemon.work(&Job::VerifyStore { repair: false }, |_| ()).await.unwrap_err();
        assert!(matches!(&work, DaemonError::Refused(why) if *why == panicked), "{work}");
        let order = Command::from(UserCommand::List);
        let order = daemon.call::<CommandOutcome>(Method::POST, "/administer", &order).await.unwrap_err();
        assert!(matches!(&order, DaemonError::Refused(why) if *why == panicked), "{order}");
        let unknown = daemon.call::<CommandOutcome>(Method::POST, "/nonsense", &()).await.unwrap_err();
        assert!(unknown.to_string().contains("the same version"), "{unknown}");
        assert_eq!(daemon.call::<String>(Method::GET, "/config", &()).await.unwrap(), "still here");
        tasks.stop();
        assert_eq!(tasks.finish(std::time::Duration::from_secs(10)).await, 0);
    }
}
