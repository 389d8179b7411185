//! How long packets wait in the path's queues: the time they take beyond the least they took of late.

use super::time::Micros;

/// The least of this long, and of as long before, is held for the way without queues: routes and clocks change.
const WINDOW: Micros = Micros::from_millis(30_000);
/// No queue is this long: the receiver's clock was set anew.
const CLOCK_JUMP: Micros = Micros::from_millis(10_000);

/// Measures standing queues by one-way delays; the clocks at both ends need not agree.
#[derive(Debug, Default)]
pub(super) struct Queueing {
    least: Option<Micros>,
    least_before: Option<Micros>,
    turned: Micros,
    current: Micros,
}

impl Queueing {
    /// Takes the shortest time, by both clocks, that packets of a report heard of at `now` took.
    pub(super) fn add(&mut self, now: Micros, transit: Micros) {
        if self.base().is_some_and(|base| transit - base > CLOCK_JUMP) {
            (self.least, self.least_before) = (None, None);
        }
        if now - self.turned > WINDOW {
            self.turned = now;
            self.least_before = self.least.take();
        }
        self.least = Some(self.least.map_or(transit, |least| least.min(transit)));
        self.current = transit - self.base().unwrap_or(transit);
    }

    /// What even the luckiest packet of the last report waited.
    pub(super) fn current(&self) -> Micros {
        self.current
    }

    fn base(&self) -> Option<Micros> {
        self.least.into_iter().chain(self.least_before).min()
    }
}
