//! Retries and rate limits for background jobs: repeats requests after temporary failures, waits as long as an upstream
//! asks for, and limits the transfer rate.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Pauses between the attempts after a temporary failure.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// Repeats `attempt` after temporary failures. `after` returns the minimum time to wait after an error, or `None` if
/// the error is permanent.
pub(super) async fn retry<T, E, F>(after: impl Fn(&E) -> Option<Duration>, attempt: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let (Some(asked), Some(pause)) = (after(&error), pauses.next()) else { return Err(error) };
        tokio::time::sleep(asked.max(pause)).await;
    }
}

/// Limits the average rate of all transfers together.
#[derive(Debug)]
pub(super) struct TransferRate {
    /// Maximum bytes per second; `None`: no limit.
    rate: Option<u64>,
    /// Time at which the transfers so far would have ended at this rate.
    paid_until: Mutex<Instant>,
}

impl TransferRate {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate, paid_until: Mutex::new(Instant::now()) }
    }

    /// Waits until the next transfer may start.
    pub(super) async fn wait(&self) {
        let until = *self.paid_until.lock();
        tokio::time::sleep_until(until).await;
    }

    /// Records that this number of bytes was transferred.
    pub(super) fn spent(&self, bytes: u64) {
        self.spent_at(Instant::now(), bytes);
    }

    fn spent_at(&self, now: Instant, bytes: u64) {
        let Some(rate) = self.rate.filter(|rate| *rate > 0) else { return };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let took = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_until = self.paid_until.lock();
        *paid_until = (*paid_until).max(now) + took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_over_all_transfers() {
        let began = Instant::now();
        let pace = TransferRate { rate: Some(1000), paid_until: Mutex::new(began) };
        for _ in 0..10 {
            pace.spent_at(began, 500);
        }
        assert_eq!(*pace.paid_until.lock() - began, Duration::from_secs(5));
        // Idle time does not increase the rate afterwards.
        let later = began + Duration::from_secs(60);
        pace.spent_at(later, 500);
        assert_eq!(*pace.paid_until.lock() - later, Duration::from_millis(500));
        let free = TransferRate { rate: None, paid_until: Mutex::new(began) };
        free.spent_at(began, u64::MAX);
        assert_eq!(*free.paid_until.lock(), began);
    }

    #[tokio::test]
    async fn what_stays_is_not_tried_again() {
        let tries = std::cell::Cell::new(0);
        let refused: Result<(), u8> = retry(
            |_| None,
            || {
                tries.set(tries.get() + 1);
                std::future::ready(Err(1))
            },
        )
        .await;
        assert_eq!((refused, tries.get()), (Err(1), 1));
    }
}
