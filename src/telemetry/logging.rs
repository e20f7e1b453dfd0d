//! The log: `tracing` events as text or JSON on standard error, one line each, through a buffer.
//!
//! Access lines come by the ten thousand a second, so a line costs a copy into memory and the file descriptor sees
//! large writes. Whatever is a warning or worse is written at once, and a thread writes the rest every
//! [`FLUSH_EVERY`], so that nothing waits long.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// The longest that a line of level info or below waits in the buffer.
pub const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// The buffer is written when it holds this many bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A handle on the running log.
#[derive(Clone, Debug)]
pub struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
    sink: Arc<Sink>,
}

impl Logging {
    /// Installs the log for the whole process and starts its flushing thread. A second call keeps the first log and
    /// says so by an error.
    pub fn start(format: Format, level: LevelFilter) -> Result<Self, tracing_subscriber::util::TryInitError> {
        let sink = Arc::new(Sink { buffer: Mutex::new(Vec::with_capacity(FLUSH_BYTES * 2)) });
        let (filter, handle) = reload::Layer::new(level);
        let writer = BufferedWriter(Arc::clone(&sink));
        let layer = match format {
            Format::Text => tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).boxed(),
            Format::Json => {
                tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
            }
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
            .map_or_else(|error| tracing::warn!(%error, "log lines are written late: no thread to flush them"), drop);
        Ok(Self { level: handle, sink })
    }

    /// Changes the level from now on.
    pub fn set_level(&self, level: LevelFilter) {
        if let Err(error) = self.level.reload(level) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }

    /// Writes what is in the buffer.
    pub fn flush(&self) {
        self.sink.flush();
    }
}

#[derive(Debug)]
struct Sink {
    buffer: Mutex<Vec<u8>>,
}

impl Sink {
    fn flush(&self) {
        write_out(&mut self.buffer.lock());
    }
}

fn write_out(buffer: &mut Vec<u8>) {
    // A log that cannot be written has nobody to be reported to.
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
        let mut buffer = self.sink.buffer.lock();
        buffer.extend_from_slice(bytes);
        if self.urgent || buffer.len() >= FLUSH_BYTES {
            write_out(&mut buffer);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush();
        Ok(())
    }
}
