//! Client of the administration socket, for commands when a daemon has the store open.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::protocol::Line;
use crate::operations::jobs::Job;
use crate::operations::outcome::CommandOutcome;
use crate::tasks::report::Event;

/// Why a request to the daemon failed.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store is in use, but no daemon listens on its socket.
    #[error("another hexkeep process uses the store, and no daemon answers at {}: {why}; if the process is a command, wait until it ends; if it is a daemon that is starting or stopping, try again", .socket.display())]
    Unreachable {
        /// Path of the socket.
        socket: PathBuf,
        /// Error of the operating system.
        why: io::Error,
    },
    /// The daemon reported an error.
    #[error("{0}")]
    Refused(String),
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// The request cannot be built.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The answer cannot be parsed.
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
    /// The connection ended before the job was complete.
    #[error("the daemon stopped before the job was complete")]
    Stopped,
}

/// A running daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// The daemon of the store in `storage`.
    pub fn of(storage: &Path) -> Self {
        Self { socket: storage.join(super::server::SOCKET) }
    }

    /// Sends a command and returns the answer.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        command: &impl Serialize,
    ) -> Result<T, DaemonError> {
        let body = self.send(method, path, command).await?;
        let bytes = body.collect().await?.to_bytes();
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Runs a job and calls `progress` for its events. If the future is dropped, the job stops at the next safe point.
    pub async fn work(&self, job: &Job, mut progress: impl FnMut(Event)) -> Result<CommandOutcome, DaemonError> {
        let mut body = self.send(Method::POST, "/jobs", job).await?;
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            pending.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match serde_json::from_slice(&line)? {
                    Line::Event(event) => progress(event),
                    Line::Outcome(outcome) => return Ok(outcome),
                    Line::Failure(failure) => return Err(DaemonError::Refused(failure)),
                }
            }
        }
        Err(DaemonError::Stopped)
    }

    async fn send(&self, method: Method, path: &str, command: &impl Serialize) -> Result<Incoming, DaemonError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|why| DaemonError::Unreachable { socket: self.socket.clone(), why })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let tasks = crate::shutdown::Tasks::new();
        tasks.spawn(async move {
            // The reader of the answer gets the error, too.
            let _ = connection.await;
        });
        let bytes = serde_json::to_vec(command)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "hexkeep")
            .body(Full::new(Bytes::from(bytes)))?;
        let response = sender.send_request(request).await?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let bytes = response.into_body().collect().await?.to_bytes();
        Err(DaemonError::Refused(serde_json::from_slice(&bytes)?))
    }
}
