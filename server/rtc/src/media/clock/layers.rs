use std::time::SystemTime;

use super::{JUMP, Steady, unix_micros};
use crate::media::forward::MAX_ENCODINGS;

/// The encodings of one track on a common clock, so that a switch between them keeps time.
#[derive(Clone, Debug)]
pub struct LayerClocks {
    clock_rate: u32,
    /// Per encoding: NTP time in ticks minus RTP timestamp, modulo 2^32.
    origins: [Steady<u32>; MAX_ENCODINGS],
    /// The origin that counts as zero: that of encoding 0, or of the first encoding that reported before it.
    reference: Option<u32>,
}

impl LayerClocks {
    /// `clock_rate` in ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            origins: [Steady::default(); MAX_ENCODINGS],
            reference: None,
        }
    }

    /// A sender report of an encoding came. `rtp` is its RTP timestamp.
    pub fn sender_report(&mut self, encoding: u8, ntp: SystemTime, rtp: u32) {
        let (Some(origin), Some(micros)) = (
            self.origins.get_mut(usize::from(encoding)),
            unix_micros(ntp),
        ) else {
            return;
        };
        let ticks = (i128::from(micros) * i128::from(self.clock_rate) / 1_000_000) as u32;
        let jump = JUMP.as_secs() as u32 * self.clock_rate;
        let near = |one: u32, other: u32| (one.wrapping_sub(other) as i32).unsigned_abs() <= jump;
        origin.take(ticks.wrapping_sub(rtp), near);
        self.reference = self.reference.or(origin.value);
    }

    /// What to add to a timestamp of `encoding`, modulo 2^32, to get the one of the same moment on the common clock,
    /// which is that of the encoding that reported first. `None` before its first report.
    pub fn offset(&self, encoding: u8) -> Option<u32> {
        let origin = self.origins.get(usize::from(encoding))?.value?;
        Some(origin.wrapping_sub(self.reference?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ntp(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn reports_of_different_moments_give_the_difference_of_the_encodings_clocks() {
        let mut clocks = LayerClocks::new(90_000);
        clocks.sender_report(0, ntp(0), 1_000);
        assert_eq!((clocks.offset(0), clocks.offset(1)), (Some(0), None));
        // Half a second later the clock of encoding 0 shows 46,000.
        clocks.sender_report(1, ntp(500), 4_000_000_000);
        assert_eq!(
            4_000_000_000u32.wrapping_add(clocks.offset(1).unwrap()),
            46_000
        );
    }

    #[test]
    fn a_report_out_of_line_is_believed_when_it_is_repeated() {
        let mut clocks = LayerClocks::new(90_000);
        clocks.sender_report(0, ntp(0), 0);
        clocks.sender_report(1, ntp(0), 0);
        clocks.sender_report(1, ntp(1_000), 9_000_000);
        assert_eq!(clocks.offset(1), Some(0));
        clocks.sender_report(1, ntp(2_000), 9_090_000);
        assert_eq!(
            clocks.offset(1),
            Some(0u32.wrapping_sub(9_000_000 - 90_000))
        );
    }

    #[test]
    fn times_before_1970_and_unknown_encodings_are_passed_over() {
        let mut clocks = LayerClocks::new(90_000);
        clocks.sender_report(0, SystemTime::UNIX_EPOCH - Duration::from_secs(9), 7);
        clocks.sender_report(77, ntp(0), 7);
        assert_eq!((clocks.offset(0), clocks.offset(77)), (None, None));
    }
}
