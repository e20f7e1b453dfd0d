//! Tests of the read-through logic, with a scripted upstream and a manual clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::cache::error::Untrusted;
use crate::cache::recent_failures::REST_AFTER_FAILURE;
use crate::cache::single_flight::NoOutcome;
use crate::clock::ManualClock;
use crate::shutdown::Tasks;

const TTL: u64 = 60;
const SWR: u64 = 300;
const MAX: u64 = 86_400;
const MISSING: u64 = 120;
const START: u64 = 10_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    text: &'static str,
    confirmed_at: Timestamp,
    removed: bool,
}

/// What the upstream does when it is asked.
#[derive(Clone)]
enum Script {
    Body(&'static str),
    Unchanged,
    Fails(CacheError),
}

/// One key, `()`, with an entry on disk that a fetch replaces.
struct Scripted {
    clock: Arc<ManualClock>,
    disk: Mutex<Option<Entry>>,
    scripts: Mutex<VecDeque<Script>>,
    fetches: AtomicUsize,
    loads: AtomicUsize,
    /// Every fetch waits for a permit here.
    gate: Option<Notify>,
}

impl CacheSource for Scripted {
    type Key = u8;
    type Entry = Entry;

    fn confirmed_at(entry: &Entry) -> Timestamp {
        entry.confirmed_at
    }

    fn is_removed(entry: &Entry) -> bool {
        entry.removed
    }

    async fn load(self: &Arc<Self>, _: &u8, _: Instant) -> Result<Option<Entry>, CacheError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(self.disk.lock().clone())
    }

    async fn current(self: &Arc<Self>, _: &u8) -> Result<Option<Entry>, CacheError> {
        Ok(self.disk.lock().clone())
    }

    async fn fetch(
        self: Arc<Self>,
        _: u8,
        known: Option<Entry>,
        _: bool,
        _: AnswerBegun,
    ) -> Result<FetchedEntry<Entry>, CacheError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let script = self.scripts.lock().pop_front().expect("a fetch that nobody expected");
        let (text, unchanged) = match script {
            Script::Fails(error) => return Err(error),
            Script::Body(text) => (text, false),
            Script::Unchanged => (known.expect("something is known").text, true),
        };
        let entry = Entry { text, confirmed_at: self.clock.now(), removed: false };
        *self.disk.lock() = Some(entry.clone());
        Ok(FetchedEntry { entry, unchanged, bypass: None })
    }
}

struct Cache {
    through: ReadThrough<Scripted>,
    source: Arc<Scripted>,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
}

/// A cache with an entry of `age` seconds, and an upstream that answers by `scripts`.
fn cache(network: UpstreamMode, age: Option<u64>, scripts: &[Script]) -> Cache {
    gated(network, age, scripts, None)
}

fn gated(network: UpstreamMode, age: Option<u64>, scripts: &[Script], gate: Option<Notify>) -> Cache {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(START)));
    let entry = |age| Entry { text: "old", confirmed_at: Timestamp::from_secs(START - age), removed: false };
    let source = Arc::new(Scripted {
        clock: Arc::clone(&clock),
        disk: Mutex::new(age.map(entry)),
        scripts: Mutex::new(scripts.iter().cloned().collect()),
        fetches: AtomicUsize::new(0),
        loads: AtomicUsize::new(0),
        gate,
    });
    let rules = FreshnessRules {
        ttl: Duration::from_secs(TTL),
        stale_while_revalidate: Duration::from_secs(SWR),
        max_stale: Duration::from_secs(MAX),
        network,
    };
    let metrics = Arc::new(Metrics::new());
    let through = ReadThrough {
        rules,
        word: Word::from("acme"),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        metrics: Arc::clone(&metrics),
        fetches: Flights::new(Tasks::new()),
        setbacks: RecentFailures::new(Duration::from_secs(MISSING), Arc::clone(&clock) as Arc<dyn Clock>),
    };
    Cache { through, source, clock, metrics }
}

impl Cache {
    /// What a caller gets: the text and the status, or the error.
    async fn get(&self) -> Result<(&'static str, String), CacheError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let served = self.through.get(&self.source, &0, deadline).await?;
        Ok((served.value.text, served.status.to_string()))
    }

    fn fetches(&self) -> usize {
        self.source.fetches.load(Ordering::SeqCst)
    }

    fn stale(&self, reason: &'static str) -> u64 {
        let labels = ReasonLabels { repository: Word::from("acme"), reason };
        self.metrics.stale.get_or_create(&labels).get()
    }
}

fn down() -> Script {
    Script::Fails(CacheError::NoOutcome(NoOutcome::Abandoned))
}

fn is(text: &'static str, status: &str) -> Result<(&'static str, String), String> {
    Ok((text, status.to_owned()))
}

#[tokio::test]
async fn each_plan_is_acted_on() {
    use UpstreamMode::{Fallback, Offline, Strict};
    type Row = (UpstreamMode, Option<u64>, Script, Result<(&'static str, String), String>, usize);
    let missing = || Script::Fails(CacheError::Missing);
    let bad = || Script::Fails(CacheError::untrusted(Untrusted::Json));
    let error = |error: CacheError| Err(error.to_string());
    let rows: Vec<Row> = vec![
        // network, age, upstream, answer, fetches
        (Fallback, Some(0), down(), is("old", "hit"), 0),
        (Fallback, None, Script::Body("new"), is("new", "miss"), 1),
        (Fallback, None, missing(), error(CacheError::Missing), 1),
        (Fallback, Some(TTL + SWR), Script::Body("new"), is("new", "miss"), 1),
        (Fallback, Some(TTL + SWR), Script::Unchanged, is("old", "revalidated"), 1),
        (Fallback, Some(TTL + SWR), down(), is("old", "stale; reason=abandoned"), 1),
        (Fallback, Some(TTL + SWR), bad(), is("old", "stale; reason=untrusted"), 1),
        (Fallback, Some(TTL + SWR), missing(), error(CacheError::Missing), 1),
        (Fallback, Some(MAX + 1), Script::Body("new"), is("new", "miss"), 1),
        (Fallback, Some(MAX + 1), missing(), error(CacheError::Missing), 1),
        (Strict, Some(TTL), Script::Unchanged, is("old", "revalidated"), 1),
        (Strict, Some(TTL), missing(), error(CacheError::Missing), 1),
        (Offline, Some(MAX * 9), down(), is("old", "stale; reason=offline"), 0),
        (Offline, None, down(), error(CacheError::Offline), 0),
    ];
    for (at, (network, age, script, expected, fetches)) in rows.into_iter().enumerate() {
        let cache = cache(network, age, &[script]);
        let got = cache.get().await.map_err(|error| error.to_string());
        assert_eq!((got, cache.fetches()), (expected, fetches), "row {at}: {network:?} {age:?}");
    }
    let cache = cache(Strict, Some(TTL), &[down()]);
    assert!(matches!(cache.get().await, Err(CacheError::NoOutcome(_))), "strict serves nothing stale");
}

#[tokio::test]
async fn past_its_time_an_entry_is_served_while_one_fetch_runs() {
    let cache = gated(UpstreamMode::Fallback, Some(TTL), &[Script::Body("new")], Some(Notify::new()));
    for _ in 0..5 {
        assert_eq!(cache.get().await.unwrap(), ("old", "stale; reason=revalidating".to_owned()));
    }
    assert_eq!(cache.stale("revalidating"), 5);
    // A caller that wants the newest entry joins the running fetch.
    cache.source.gate.as_ref().unwrap().notify_one();
    let newest = cache.through.get_newest(&cache.source, &0, false, Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(newest.unwrap().value.text, "new");
    assert_eq!(cache.get().await.unwrap(), ("new", "hit".to_owned()));
    assert_eq!(cache.fetches(), 1);
}

#[tokio::test]
async fn after_a_failure_the_upstream_rests() {
    // An unreachable upstream is asked once a second, not for every client that is served the old entry.
    let cache = cache(UpstreamMode::Fallback, Some(TTL + SWR), &[down(), down(), Script::Body("new")]);
    for _ in 0..3 {
        assert_eq!(cache.get().await.unwrap(), ("old", "stale; reason=abandoned".to_owned()));
    }
    assert_eq!((cache.fetches(), cache.stale("abandoned")), (1, 3));
    cache.clock.advance(REST_AFTER_FAILURE);
    assert_eq!(cache.get().await.unwrap().0, "old");
    assert_eq!(cache.fetches(), 2);
    cache.clock.advance(REST_AFTER_FAILURE);
    assert_eq!(cache.get().await.unwrap(), ("new", "miss".to_owned()));
    assert_eq!(cache.fetches(), 3);
}

#[tokio::test]
async fn with_nothing_to_serve_a_silent_upstream_is_asked_again_and_a_wrong_answer_is_remembered() {
    let silent = cache(UpstreamMode::Fallback, None, &[down(), Script::Body("new")]);
    assert!(silent.get().await.is_err());
    assert_eq!(silent.get().await.unwrap(), ("new", "miss".to_owned()));

    for error in [CacheError::Missing, CacheError::untrusted(Untrusted::Json)] {
        let wrong = cache(UpstreamMode::Fallback, None, &[Script::Fails(error.clone()), Script::Body("new")]);
        for _ in 0..3 {
            assert_eq!(wrong.get().await.unwrap_err().to_string(), error.to_string());
        }
        assert_eq!(wrong.fetches(), 1);
        wrong.clock.advance(Duration::from_secs(MISSING));
        assert_eq!(wrong.get().await.unwrap(), ("new", "miss".to_owned()));
    }
    let missing = cache(UpstreamMode::Fallback, None, &[Script::Fails(CacheError::Missing)]);
    assert!(missing.get().await.is_err());
    let loads = missing.source.loads.load(Ordering::SeqCst);
    assert!(missing.get().await.is_err());
    assert_eq!(missing.source.loads.load(Ordering::SeqCst), loads, "the disk is not asked for what does not exist");
}

#[tokio::test]
async fn a_slow_upstream_costs_no_answer() {
    let cache = gated(UpstreamMode::Fallback, Some(TTL + SWR), &[Script::Body("new")], Some(Notify::new()));
    let soon = Instant::now() + Duration::from_millis(20);
    let served = cache.through.get(&cache.source, &0, soon).await.unwrap();
    assert_eq!((served.value.text, served.status), ("old", CacheStatus::Stale(StaleReason::Slow)));
}

#[tokio::test]
async fn whoever_decides_by_it_waits_for_the_upstream_and_hears_why_it_is_not_confirmed() {
    let ask = async |cache: &Cache| {
        let deadline = Instant::now() + Duration::from_secs(30);
        let (served, error) = cache.through.get_confirmed(&cache.source, &0, deadline).await.unwrap();
        (served.value.text, error.map(|error| error.is_silence()))
    };
    assert_eq!(ask(&cache(UpstreamMode::Fallback, Some(0), &[])).await, ("old", None));
    assert_eq!(ask(&cache(UpstreamMode::Fallback, Some(TTL), &[Script::Body("new")])).await, ("new", None));
    assert_eq!(ask(&cache(UpstreamMode::Fallback, Some(TTL), &[down()])).await, ("old", Some(true)));
    let bad = Script::Fails(CacheError::untrusted(Untrusted::Json));
    assert_eq!(ask(&cache(UpstreamMode::Fallback, Some(TTL), &[bad])).await, ("old", Some(false)));
}

#[tokio::test]
async fn what_another_fetch_has_brought_is_not_asked_for_again() {
    let cache = cache(UpstreamMode::Fallback, None, &[Script::Body("new")]);
    let deadline = || Instant::now() + Duration::from_secs(5);
    let first = cache.through.get_newest(&cache.source, &0, false, deadline()).await.unwrap();
    assert_eq!(first.status, CacheStatus::Miss);
    // This caller looked before the first fetch ended, and joins after it.
    let late = cache.through.wait(&cache.source, &0, None, false, deadline()).await.unwrap();
    assert_eq!((late.value.text, late.status), ("new", CacheStatus::Coalesced));
    assert_eq!(cache.fetches(), 1);
}

#[tokio::test]
async fn what_the_upstream_has_removed_is_never_called_fresh() {
    let cache = cache(UpstreamMode::Fallback, Some(0), &[]);
    cache.source.disk.lock().as_mut().unwrap().removed = true;
    assert_eq!(cache.get().await.unwrap(), ("old", "stale; reason=deleted".to_owned()));
}
