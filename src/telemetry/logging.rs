//! The log: writes `tracing` events as text or JSON to standard error, one line each, through a buffer.
//!
//! There can be tens of thousands of access lines per second, so lines are copied to a buffer, which is written in
//! large blocks. Warnings and errors are written at once. A thread writes the rest every [`FLUSH_EVERY`].

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::access::Second;
use super::json::JsonLines;

/// Maximum time that a line of level info or below stays in the buffer.
pub const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// The buffer is written when it contains this number of bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// The format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A handle on the running log.
#[derive(Clone, Debug)]
pub struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
    format: Format,
    access: Arc<AtomicBool>,
    sink: Arc<Sink>,
}

impl Logging {
    /// Installs the log for the whole process and starts its flushing thread. A second call returns an error and keeps
    /// the first log.
    pub fn start(format: Format, level: LevelFilter) -> Result<Self, tracing_subscriber::util::TryInitError> {
        let buffer = Buffer { bytes: Vec::with_capacity(FLUSH_BYTES * 2), second: Second::default() };
        let sink = Arc::new(Sink { buffer: Mutex::new(buffer) });
        let (filter, handle) = reload::Layer::new(level);
        let writer = BufferedWriter(Arc::clone(&sink));
        let layer = match format {
            Format::Text => tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).boxed(),
            Format::Json => tracing_subscriber::fmt::layer().event_format(JsonLines).with_writer(writer).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(layer).try_init()?;
        let flushed = Arc::downgrade(&sink);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                while let Some(sink) = flushed.upgrade() {
                    sink.flush();
                    drop(sink);
                    std::thread::sleep(FLUSH_EVERY);
                }
            })
            .map_or_else(
                |error| tracing::warn!(%error, "cannot start the thread that writes the log: lines may be delayed"),
                drop,
            );
        Ok(Self { level: handle, format, access: Arc::new(AtomicBool::new(level >= LevelFilter::INFO)), sink })
    }

    /// Changes the level.
    pub fn set_level(&self, level: LevelFilter) {
        self.access.store(level >= LevelFilter::INFO, Ordering::Relaxed);
        if let Err(error) = self.level.reload(level) {
            tracing::warn!(%error, "cannot change the log level");
        }
    }

    pub(super) fn writes_access(&self) -> bool {
        self.access.load(Ordering::Relaxed)
    }

    /// Calls `compose` to add a line to the buffer.
    pub(super) fn append(&self, compose: impl FnOnce(Format, &mut Vec<u8>, &mut Second)) {
        let mut buffer = self.sink.buffer.lock();
        let Buffer { bytes, second } = &mut *buffer;
        compose(self.format, bytes, second);
        if bytes.len() >= FLUSH_BYTES {
            write_out(bytes);
        }
    }

    /// Writes the buffer.
    pub fn flush(&self) {
        self.sink.flush();
    }
}

#[derive(Debug)]
struct Sink {
    buffer: Mutex<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    second: Second,
}

impl Sink {
    fn flush(&self) {
        write_out(&mut self.buffer.lock().bytes);
    }
}

fn write_out(buffer: &mut Vec<u8>) {
    // If the log cannot be written, the failure cannot be reported anywhere.
    let _ = io::stderr().lock().write_all(buffer);
    buffer.clear();
}

#[derive(Clone, Debug)]
struct BufferedWriter(Arc<Sink>);

impl<'a> MakeWriter<'a> for BufferedWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { sink: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        Line { sink: &self.0, urgent: *meta.level() <= Level::WARN }
    }
}

#[derive(Debug)]
struct Line<'a> {
    sink: &'a Sink,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let buffer = &mut self.sink.buffer.lock().bytes;
        buffer.extend_from_slice(bytes);
        if self.urgent || buffer.len() >= FLUSH_BYTES {
            write_out(buffer);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush();
        Ok(())
    }
}
