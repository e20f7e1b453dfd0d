//! The other end of the administration socket: what commands use when a daemon has the store.

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
use crate::operations::Failure;
use crate::operations::commands::Outcome;
use crate::operations::jobs::Job;
use crate::tasks::report::Event;

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
    ) -> Result<T, Failure> {
        let body = self.send(method, path, command).await?;
        let bytes = body.collect().await.map_err(|error| Failure::of(&error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| Failure::of(&error))
    }

    /// Has work done; `progress` hears of it on the way. Dropped, the daemon stops it where it can.
    pub async fn work(&self, job: &Job, mut progress: impl FnMut(Event)) -> Result<Outcome, Failure> {
        let mut body = self.send(Method::POST, "/jobs", job).await?;
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::of(&error))?;
            pending.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| Failure::of(&error))? {
                    Line::Event(event) => progress(event),
                    Line::Outcome(outcome) => return Ok(outcome),
                    Line::Failure(failure) => return Err(Failure(failure)),
                }
            }
        }
        Err(Failure("the daemon stopped before the work was done".to_owned()))
    }

    async fn send(&self, method: Method, path: &str, command: &impl Serialize) -> Result<Incoming, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            Failure(format!(
                "a daemon holds the store and cannot be reached at {}: {error}; it may be starting or stopping",
                self.socket.display()
            ))
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| Failure::of(&error))?;
        let tasks = crate::shutdown::Tasks::new();
        tasks.spawn(async move {
            // The answer's reader sees the error; the connection has nobody else to tell.
            let _ = connection.await;
        });
        let bytes = serde_json::to_vec(command).map_err(|error| Failure::of(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "hexkeep")
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| Failure::of(&error))?;
        let response = sender.send_request(request).await.map_err(|error| Failure::of(&error))?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let bytes = response.into_body().collect().await.map_err(|error| Failure::of(&error))?.to_bytes();
        Err(Failure(serde_json::from_slice(&bytes).map_err(|error| Failure::of(&error))?))
    }
}
