//! When to try a delivery again.

use std::time::Duration;

/// Tries of one event, the first among them.
pub(super) const MAX_TRIES: u32 = 10;
/// Pause after the first failed try: a receiver that is being restarted is back after a few of them.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause. With it all tries together take three to five minutes, about as long as an application's rollout.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pause after failed try number `tries` (from 1): doubling, with `jitter` (0 to 1) spreading it over half to one
/// and a half times, so that the queues of a receiver that was away do not come back all at once. `None` = give up.
pub(super) fn pause(tries: u32, jitter: f64) -> Option<Duration> {
    if tries >= MAX_TRIES {
        return None;
    }
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16));
    Some(
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_end_after_ten_tries() {
        let pauses: Vec<_> = (1..12)
            .map_while(|tries| pause(tries, 0.5))
            .map(|pause| pause.as_secs_f64())
            .collect();
        assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    }

    #[test]
    fn all_tries_take_less_than_five_minutes_whatever_the_jitter() {
        let total: Duration = (1..MAX_TRIES).filter_map(|tries| pause(tries, 1.0)).sum();
        assert!(total < Duration::from_secs(300), "{total:?}");
    }
}
