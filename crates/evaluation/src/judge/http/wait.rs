//! How long to wait: between tries, when a server asks for it, and for a place under the rate limit.
use super::config::HttpConfig;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wait before try `attempt` (from 1): `backoff · 2^(attempt−1)`, at most `backoff_max`, of which a random share
/// between one half and all is taken, so that many clients do not come back together. It follows from the seed, the
/// question and the number of the try.
pub(super) fn backoff(config: &HttpConfig, key: &str, attempt: u32) -> Duration {
    let full = config.backoff_ms.saturating_mul(1 << (attempt - 1).min(32)).min(config.backoff_max_ms);
    let question = u64::from_str_radix(key.get(..16).unwrap_or("0"), 16).unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(config.jitter_seed ^ question);
    rng.set_stream(u64::from(attempt));
    let share = 0.5 + 0.5 * (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    Duration::from_secs_f64(full as f64 / 1000.0 * share)
}

/// What a server asks for: `retry-after-ms`, else `Retry-After` in seconds (fractions are read, though the standard has
/// none) or as a date.
pub(super) fn retry_after(milliseconds: Option<&str>, value: Option<&str>, now: SystemTime) -> Option<Duration> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let seconds = match milliseconds.and_then(number) {
        Some(ms) => ms / 1000.0,
        None => {
            let value = value?;
            number(value).or_else(|| {
                let at = UNIX_EPOCH + Duration::from_secs(http_date(value)?);
                Some(at.duration_since(now).map_or(0.0, |d| d.as_secs_f64()))
            })?
        }
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of dates that servers may send today.
fn http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.trim().split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == month)? as i64 + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok().filter(|y| (1970..10_000).contains(y))?);
    let mut parts = time.split(':').map(|p| p.parse::<i64>().ok());
    let seconds = parts.next()?? * 3600 + parts.next()?? * 60 + parts.next()??;
    // days from a calendar that begins in March, so that the leap day is the last
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days.checked_mul(86_400)? + seconds).ok()
}

/// Lets requests of all threads pass one after the other, evenly spaced, and none while the server asked for a pause.
#[derive(Debug)]
pub(super) struct Gate {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Gate {
    pub(super) fn new(requests_per_minute: Option<f64>) -> Self {
        let interval = requests_per_minute.and_then(|n| Duration::try_from_secs_f64(60.0 / n).ok()).unwrap_or_default();
        Gate { interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for this thread's turn.
    pub(super) fn pass(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + self.interval;
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }

    /// Nobody passes before `pause` is over.
    pub(super) fn close_for(&self, pause: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_follow_the_seed() {
        let config = HttpConfig { backoff_ms: 100, backoff_max_ms: 1000, ..HttpConfig::default() };
        let wait = |seed, key: &str, attempt| backoff(&HttpConfig { jitter_seed: seed, ..config.clone() }, key, attempt);
        for (attempt, full) in [(1, 100), (2, 200), (4, 800), (5, 1000), (60, 1000)] {
            let found = wait(0, "00ff00ff00ff00ff00", attempt).as_secs_f64() * 1000.0;
            assert!((f64::from(full) * 0.5..=f64::from(full)).contains(&found), "{attempt}: {found}");
        }
        let (a, b) = ("0123456789abcdef", "fedcba9876543210");
        assert_eq!(wait(1, a, 1), wait(1, a, 1));
        assert!(wait(1, a, 1) != wait(2, a, 1) && wait(1, a, 1) != wait(1, b, 1));
    }

    #[test]
    fn what_servers_ask_for() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let ask = |ms, value| retry_after(ms, value, now).map(|d| d.as_millis());
        assert_eq!(
            (ask(None, Some("2")), ask(None, Some("0.25")), ask(Some("30"), Some("9"))),
            (Some(2000), Some(250), Some(30))
        );
        // the standard's own example is the second 784,111,777
        assert_eq!(ask(None, Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(0));
        assert_eq!(ask(None, Some("Sun, 06 Nov 1994 08:50:37 GMT")), Some(60_000));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!((ask(None, Some("soon")), ask(None, Some("-1")), ask(None, None)), (None, None, None));
    }

    #[test]
    fn the_gate_spaces_and_closes() {
        let gate = Gate::new(Some(60_000.0 / 4.0)); // every 4 ms
        let start = Instant::now();
        std::thread::scope(|s| (0..6).for_each(|_| drop(s.spawn(|| gate.pass()))));
        assert!(start.elapsed() >= Duration::from_millis(20));
        gate.close_for(Duration::from_millis(30));
        let start = Instant::now();
        gate.pass();
        assert!(start.elapsed() >= Duration::from_millis(25));
    }
}
