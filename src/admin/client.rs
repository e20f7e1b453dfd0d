//! The other end of the administration socket: what commands use when a daemon has the store.

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

/// Why a daemon has not done what it was told.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It does not listen.
    #[error("a daemon holds the store and cannot be reached at {}: {why}; it may be starting or stopping", .socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It says why not.
    #[error("{0}")]
    Refused(String),
    /// The connection broke off.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// The command cannot be sent.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// What it says cannot be read.
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
    /// It went away in the middle of a work.
    #[error("the daemon stopped before the work was done")]
    Stopped,
}

/// A daemon, by its socket.
#[derive(Clone, Debug)]
pub struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// The daemon that has the store in `storage`.
    pub fn of(storage: &Path) -> Self {
        Self { socket: storage.join(super::server::SOCKET) }
    }

    /// Sends a command and reads its answer.
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

    /// Has work done; `progress` hears of it on the way. Dropped, the daemon stops it where it can.
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
            // The answer's reader sees the error; the connection has nobody else to tell.
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
