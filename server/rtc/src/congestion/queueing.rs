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

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_queue_is_what_comes_on_top_of_the_free_way() {
        let mut queueing = Queueing::default();
        // The receiver's clock is a day behind.
        let free = ms(40 - 86_400_000);
        for (at, wait) in [(0, 5), (50, 0), (100, 30), (150, 120)] {
            queueing.add(ms(at), free + ms(wait));
        }
        assert_eq!(queueing.current(), ms(120));
    }

    #[test]
    fn a_longer_way_is_got_used_to_within_a_minute() {
        let mut queueing = Queueing::default();
        queueing.add(ms(0), ms(40));
        for at in (0..62_000).step_by(50) {
            queueing.add(ms(at), ms(90));
        }
        assert_eq!(queueing.current(), Micros::ZERO);
    }

    #[test]
    fn a_clock_set_forward_is_no_queue() {
        let mut queueing = Queueing::default();
        queueing.add(ms(0), ms(40));
        queueing.add(ms(50), ms(60_000));
        assert_eq!(queueing.current(), Micros::ZERO);
    }
}
