//! One run of wrk, and what it counted.

use std::process::Command;

use crate::process::find;
use crate::report::Hit;

/// wrk prints for people; this prints for us: requests, microseconds, p99 in microseconds, errors.
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

pub(crate) fn run(url: &str, if_none_match: Option<&str>, seconds: u64, connections: usize) -> Hit {
    let script = tempfile::NamedTempFile::with_suffix(".lua").unwrap();
    std::fs::write(script.path(), REPORT).unwrap();
    let mut command = Command::new(find("wrk").expect("looked for at the start"));
    // wrk counts what takes longer than two seconds as an error, unless told otherwise.
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "60s", "-s"]);
    command.arg(script.path());
    if let Some(etag) = if_none_match {
        command.args(["-H", &format!("If-None-Match: {etag}")]);
    }
    let output = command.arg(url).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers: Vec<f64> = result.unwrap_or_default().split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, microseconds, p99, errors] = numbers[..] else {
        panic!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    Hit { rate: requests / (microseconds / 1e6), p99_ms: p99 / 1e3, errors: errors as u64 }
}
