//! The receiver: notes arrivals and reports them as browsers do.

use std::collections::BTreeMap;

use super::reports::{build, unwrap_near};

const INTERVAL: u64 = 50_000;

#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Arrivals in microseconds by unwrapped number.
    arrivals: BTreeMap<u64, u64>,
    /// The first number the next report speaks of.
    next: Option<u64>,
    highest: u64,
    fresh: bool,
    report_at: u64,
}

impl Peer {
    pub(super) fn arrived(&mut self, at: u64, sequence: u16) {
        let sequence = unwrap_near(self.highest, sequence);
        self.highest = self.highest.max(sequence);
        self.next = Some(self.next.map_or(sequence, |next| next.min(sequence)));
        self.arrivals.insert(sequence, at);
        self.fresh = true;
    }

    /// A report, if one is due and there is news.
    pub(super) fn report(&mut self, now: u64) -> Option<Vec<u8>> {
        if now < self.report_at || !self.fresh {
            return None;
        }
        self.report_at = now + INTERVAL;
        self.fresh = false;
        let base = self.next.replace(self.highest + 1)?;
        let statuses: Vec<Option<u64>> = (base..=self.highest)
            .map(|sequence| self.arrivals.get(&sequence).copied())
            .collect();
        self.arrivals = self.arrivals.split_off(&self.highest.saturating_sub(1_000));
        Some(build(base as u16, &statuses))
    }
}
