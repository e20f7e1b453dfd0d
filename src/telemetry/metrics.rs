//! The metrics of the program, with their names at `/metrics`.
//!
//! Every label has a small, fixed set of values: repository keys come from the configuration, all other values are
//! constants of the program. Text from clients is never a label.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A label value shared by many label sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word(pub Arc<str>);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(&self.0)
    }
}

impl Word {
    /// The value `-`, which means that there is none.
    pub fn none() -> Self {
        static NONE: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from("-"));
        Self(Arc::clone(&NONE))
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

/// Labels of an answered request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Repository key, or `-`.
    pub repository: Word,
    /// Kind of resource.
    pub kind: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Cache status word, or `-`.
    pub cache: &'static str,
}

/// Labels of an event of a repository with a reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// Repository key.
    pub repository: Word,
    /// Name of the event or of its reason; stable across versions.
    pub reason: &'static str,
}

/// A label set with only the repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RepositoryLabels {
    /// Repository key.
    pub repository: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

type Seconds = Family<RequestKind, Histogram, fn() -> Histogram>;

/// Labels of request durations. There are fewer than for the counter, because each set of labels creates a dozen time
/// series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestKind {
    /// Kind of resource.
    pub kind: &'static str,
    /// Cache status word, or `-`.
    pub cache: &'static str,
}

/// All metrics of the program. Share them with an [`Arc`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests answered on the public listener.
    pub requests: Family<RequestLabels, Counter>,
    /// Time from the request to the end of the response body.
    pub request_seconds: Seconds,
    /// Bytes of response bodies that were passed to connections.
    pub sent_bytes: Counter,
    /// Requests whose connection ended before the end of the response body.
    pub aborted: Counter,
    /// Open client connections.
    pub connections: Gauge,
    /// Requests sent upstream, by outcome.
    pub upstream_requests: Family<ReasonLabels, Counter>,
    /// Bytes received from upstreams.
    pub upstream_bytes: Family<RepositoryLabels, Counter>,
    /// Resources from an upstream that failed verification, by reason.
    pub untrusted: Family<ReasonLabels, Counter>,
    /// Stale answers, by reason.
    pub stale: Family<ReasonLabels, Counter>,
    /// Checksum changes, removals and rollbacks in upstream registries.
    pub upstream_changes: Family<ReasonLabels, Counter>,
    /// Requests for releases that a policy holds, by rule.
    pub policy_denied: Family<ReasonLabels, Counter>,
    /// Deliveries of releases that a policy in dry run would hold, by rule.
    pub policy_would_deny: Family<ReasonLabels, Counter>,
    /// Refreshes of advisory dumps, by outcome.
    pub advisory_refreshes: Family<ReasonLabels, Counter>,
    /// Number of advisories in the active dump, for dumps that are downloaded.
    pub advisories: Family<RepositoryLabels, Gauge>,
    /// Packages that are not listed because the policy has not evaluated them yet.
    pub policy_unevaluated: Family<RepositoryLabels, Gauge>,
    /// Requests that are missing from the fetch log.
    pub fetch_log_dropped: Counter,
    /// Cache entries dropped because they were damaged.
    pub damaged: Family<ReasonLabels, Counter>,
    /// Prefetched dependencies of requested releases, by outcome.
    pub warmed: Family<ReasonLabels, Counter>,
    /// Size of the cached files in bytes.
    pub cache_bytes: Gauge,
    /// Files that were evicted to stay below the cache limit.
    pub evicted: Counter,
    /// Downloads that were served without storing them, by reason.
    pub bypassed: Family<ReasonLabels, Counter>,
    /// Active downloads of tarballs.
    pub fills: Gauge,
    /// Whether requests are sent to the upstream at present (0: assumed offline, or rate limited).
    pub upstream_up: Family<RepositoryLabels, Gauge>,
    /// Resources that were signed with a key of this server.
    pub sealed: Family<RepositoryLabels, Counter>,
    /// Reloads of the configuration, by outcome.
    pub reloads: Family<ReasonLabels, Counter>,
    /// Whether the last reload succeeded (1) or failed (0).
    pub config_current: Gauge<f64, AtomicU64>,
}

fn duration_histogram() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Metrics {
    /// Creates all metrics with the value zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("hexkeep"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(duration_histogram),
            sent_bytes: Counter::default(),
            aborted: Counter::default(),
            connections: Gauge::default(),
            upstream_requests: Family::default(),
            upstream_bytes: Family::default(),
            untrusted: Family::default(),
            stale: Family::default(),
            upstream_changes: Family::default(),
            policy_denied: Family::default(),
            policy_would_deny: Family::default(),
            policy_unevaluated: Family::default(),
            advisory_refreshes: Family::default(),
            advisories: Family::default(),
            fetch_log_dropped: Counter::default(),
            damaged: Family::default(),
            warmed: Family::default(),
            cache_bytes: Gauge::default(),
            evicted: Counter::default(),
            bypassed: Family::default(),
            fills: Gauge::default(),
            upstream_up: Family::default(),
            sealed: Family::default(),
            reloads: Family::default(),
            config_current: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        self.config_current.set(1.0);
        let r = &mut self.registry;
        r.register("build_info", "The running version", build);
        r.register("requests", "Requests answered on the public listener", self.requests.clone());
        r.register(
            "request_seconds",
            "Time from the request to the end of the response body",
            self.request_seconds.clone(),
        );
        r.register("sent_bytes", "Bytes of response bodies that were passed to connections", self.sent_bytes.clone());
        r.register(
            "aborted",
            "Requests whose connection ended before the end of the response body",
            self.aborted.clone(),
        );
        r.register("connections", "Open client connections", self.connections.clone());
        r.register("upstream_requests", "Requests sent upstream, by outcome", self.upstream_requests.clone());
        r.register("upstream_bytes", "Bytes received from upstreams", self.upstream_bytes.clone());
        r.register(
            "untrusted",
            "Resources from an upstream that failed verification, by reason",
            self.untrusted.clone(),
        );
        r.register("stale", "Stale answers, by reason", self.stale.clone());
        r.register(
            "upstream_changes",
            "Checksum changes, removals and rollbacks in upstream registries",
            self.upstream_changes.clone(),
        );
        r.register("policy_denied", "Requests for releases that a policy holds, by rule", self.policy_denied.clone());
        r.register(
            "policy_would_deny",
            "Deliveries of releases that a policy in dry run would hold, by rule",
            self.policy_would_deny.clone(),
        );
        r.register("advisory_refreshes", "Refreshes of advisory dumps, by outcome", self.advisory_refreshes.clone());
        r.register(
            "advisories",
            "Number of advisories in the dump that a repository has downloaded",
            self.advisories.clone(),
        );
        r.register(
            "policy_unevaluated",
            "Packages that are not listed because the policy has not evaluated them yet",
            self.policy_unevaluated.clone(),
        );
        r.register(
            "fetch_log_dropped",
            "Requests that are missing from the fetch log, because there were too many at one time",
            self.fetch_log_dropped.clone(),
        );
        r.register("damaged", "Cache entries removed because they were damaged", self.damaged.clone());
        r.register("warmed", "Prefetched dependencies of requested releases, by outcome", self.warmed.clone());
        r.register("cache_bytes", "Size of the cached files in bytes", self.cache_bytes.clone());
        r.register("evicted", "Files evicted to stay below the cache limit", self.evicted.clone());
        r.register("bypassed", "Downloads that were served without storing them, by reason", self.bypassed.clone());
        r.register("fills", "Active downloads of tarballs", self.fills.clone());
        r.register("upstream_up", "Whether requests are sent to the upstream at present", self.upstream_up.clone());
        r.register("sealed", "Resources signed with a key of this server", self.sealed.clone());
        r.register("reloads", "Reloads of the configuration, by outcome", self.reloads.clone());
        r.register("config_current", "Whether the last reload succeeded", self.config_current.clone());
    }

    /// The OpenMetrics text of all metrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_openmetrics_with_the_prefix() {
        let metrics = Metrics::new();
        let labels = RequestLabels { repository: "hexpm".into(), kind: "package", status: 200, cache: "hit" };
        metrics.requests.get_or_create(&labels).inc();
        let text = metrics.render();
        assert!(
            text.contains(
                "hexkeep_requests_total{repository=\"hexpm\",kind=\"package\",status=\"200\",cache=\"hit\"} 1"
            ),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
