//! Medians and Markdown.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

/// What one server did under load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) p99_ms: f64,
    /// Socket errors, and answers that are neither 2xx nor 3xx.
    pub(crate) errors: u64,
}

/// What a file cost that the server did not have yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    /// Until the last reader had the last byte.
    pub(crate) elapsed: Duration,
    pub(crate) upstream_requests: usize,
    /// Peak above what was held before, in bytes.
    pub(crate) extra_memory: u64,
}

/// One column a server; the first is the daemon, and ratios are against the best of the others.
#[derive(Debug)]
pub(crate) struct Measured {
    servers: Vec<&'static str>,
    /// Bytes held before the first request.
    pub(crate) idle: Vec<u64>,
    pub(crate) hits: Vec<(&'static str, Vec<Hit>)>,
    /// Most bytes held during a case.
    pub(crate) peaks: Vec<(String, Vec<u64>)>,
    pub(crate) fills: Vec<(String, Vec<Fill>)>,
}

/// The round in the middle by rate; errors of any round stay visible.
pub(crate) fn median_hit(mut rounds: Vec<Hit>) -> Hit {
    let errors = rounds.iter().map(|hit| hit.errors).sum();
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    Hit { errors, ..rounds[rounds.len() / 2] }
}

/// The round in the middle by time; the most requests and memory of any round.
pub(crate) fn median_fill(mut rounds: Vec<Fill>) -> Fill {
    rounds.sort_by_key(|fill| fill.elapsed);
    Fill {
        elapsed: rounds[rounds.len() / 2].elapsed,
        upstream_requests: rounds.iter().map(|fill| fill.upstream_requests).max().unwrap_or_default(),
        extra_memory: rounds.iter().map(|fill| fill.extra_memory).max().unwrap_or_default(),
    }
}

impl Measured {
    pub(crate) fn new(servers: Vec<&'static str>) -> Self {
        Self { servers, idle: Vec::new(), hits: Vec::new(), peaks: Vec::new(), fills: Vec::new() }
    }

    pub(crate) fn markdown(&self, how: &str) -> String {
        let mut text = format!("\n{how}.\n");
        if !self.hits.is_empty() {
            self.table(&mut text, "requests/s (hexkeep is so many times as fast)", &self.hits, |hits, i| {
                let Hit { rate, errors, .. } = hits[i];
                let ratio = if i == 0 { String::new() } else { format!(" ({:.2})", hits[0].rate / rate) };
                let errors = if errors == 0 { String::new() } else { format!(" **{errors} errors**") };
                format!("{rate:.0}{ratio}{errors}")
            });
            self.table(&mut text, "p99 latency", &self.hits, |hits, i| format!("{:.1} ms", hits[i].p99_ms));
            self.table(&mut text, "peak memory, all processes", &self.peaks, |peaks, i| mebibytes(peaks[i]));
        }
        let idle = [("before the first request", self.idle.clone())];
        self.table(&mut text, "memory", &idle, |idle, i| mebibytes(idle[i]));
        if !self.fills.is_empty() {
            self.table(
                &mut text,
                "time to the last reader's last byte (hexkeep takes so many times as long)",
                &self.fills,
                |fills, i| {
                    let ratio = fills[0].elapsed.as_secs_f64() / fills[i].elapsed.as_secs_f64();
                    let ratio = if i == 0 { String::new() } else { format!(" ({ratio:.2})") };
                    format!("{} ms{ratio}", fills[i].elapsed.as_millis())
                },
            );
            self.table(&mut text, "upstream requests", &self.fills, |fills, i| fills[i].upstream_requests.to_string());
            self.table(&mut text, "extra memory", &self.fills, |fills, i| mebibytes(fills[i].extra_memory));
        }
        text
    }

    fn table<N: fmt::Display, T>(
        &self,
        text: &mut String,
        title: &str,
        rows: &[(N, Vec<T>)],
        cell: impl Fn(&[T], usize) -> String,
    ) {
        let _ = writeln!(text, "\n| {title} | {} |", self.servers.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(self.servers.len()));
        for (name, values) in rows {
            let cells: Vec<_> = (0..values.len()).map(|i| cell(values, i)).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} requests/s, p99 {:.1} ms, {} errors", self.rate, self.p99_ms, self.errors)
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elapsed, upstream_requests, extra_memory } = self;
        write!(
            f,
            "{} ms, {upstream_requests} upstream requests, {} extra",
            elapsed.as_millis(),
            mebibytes(*extra_memory)
        )
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
