//! Watches the server beside the agent: when it stops answering, what it announced is withdrawn.

use std::time::Duration;

/// Checks that must fail in a row: one may be a scheduling hiccup.
const FAILURES: u32 = 2;
/// A withdrawal is said again so often, as long as it holds.
const REPEAT: Duration = Duration::from_millis(500);

/// What the agent is to tell the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Withdraw(String),
    Restore,
}

/// The state of the server as its checks show it.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    failures: u32,
    /// What is wrong, and when it was last told.
    down: Option<(String, Duration)>,
    seen: bool,
}

impl Watchdog {
    /// A check has ended; `Err` says how it failed.
    pub(crate) fn checked(&mut self, now: Duration, result: Result<(), String>) -> Option<Verdict> {
        match result {
            Ok(()) => {
                self.failures = 0;
                self.seen = true;
                self.down.take().map(|_| Verdict::Restore)
            }
            Err(reason) => {
                self.failures += 1;
                let told = self.down.as_ref().map(|(_, told)| *told);
                let due = told.is_none_or(|told| now.saturating_sub(told) >= REPEAT);
                if self.failures < FAILURES || !due {
                    return None;
                }
                self.down = Some((reason.clone(), now));
                Some(Verdict::Withdraw(reason))
            }
        }
    }

    /// Why the server does not count as alive.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.down {
            Some((reason, _)) => Some(format!("the server does not answer: {reason}")),
            None if !self.seen => Some("the server has not answered yet".to_owned()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs checks every 200 ms, each failing after 250 ms at the latest, and tells verdicts with their times.
    fn watch(alive: impl Fn(Duration) -> bool, until: u64) -> Vec<(u64, Verdict)> {
        let mut watchdog = Watchdog::default();
        let mut verdicts = Vec::new();
        let mut at = 0;
        while at < until {
            let ok = alive(Duration::from_millis(at));
            let ended = if ok { at + 1 } else { at + 250 };
            let result = ok.then_some(()).ok_or("timed out".to_owned());
            if let Some(verdict) = watchdog.checked(Duration::from_millis(ended), result) {
                verdicts.push((ended, verdict));
            }
            at = ended.max(at + 200);
        }
        verdicts
    }

    #[test]
    fn a_hung_server_is_withdrawn_within_a_second_and_restored_on_return() {
        for died in 3000..3200 {
            let hung = died..8000;
            let alive = |at: Duration| !hung.contains(&u64::try_from(at.as_millis()).unwrap());
            let verdicts = watch(alive, 10_000);
            let (at, first) = verdicts.first().unwrap();
            assert!(
                matches!(first, Verdict::Withdraw(_)) && *at - died <= 1000,
                "{at}"
            );
            let (at, last) = verdicts.last().unwrap();
            assert!(*last == Verdict::Restore && *at - 8000 <= 500, "{at}");
            let gaps = verdicts.windows(2).map(|pair| pair[1].0 - pair[0].0);
            assert!(
                gaps.max().unwrap() <= 1000,
                "silent for too long: {verdicts:?}"
            );
        }
    }

    #[test]
    fn a_single_hiccup_changes_nothing() {
        assert_eq!(watch(|at| at.as_millis() / 200 != 10, 5000), []);
    }
}
