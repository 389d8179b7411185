use std::time::{Duration, Instant, SystemTime};

use super::{JUMP, Steady, unix_micros};

/// Capture further back than this is a broken report rather than a slow network.
const MAX_AGE: Duration = Duration::from_secs(5);

/// By which part the estimated delay rises towards longer ones, per report: enough to follow clocks that drift
/// apart, too little for a burst of delay to matter.
const RISE: i64 = 32;

/// When the media of one publisher were captured, on our clock: one line for all of its tracks, so that voice and
/// lips that left together are presented together.
///
/// The publisher's clock is tied to ours by the report that travelled fastest, so all its times are late by the
/// shortest delay seen; that is the same for every track.
#[derive(Clone, Debug, Default)]
pub struct CaptureClock {
    /// Our zero.
    origin: Option<Instant>,
    /// Our time minus the publisher's, in microseconds.
    difference: Steady<i64>,
    streams: Vec<Stream>,
}

#[derive(Clone, Debug)]
struct Stream {
    key: u32,
    /// NTP time in microseconds and RTP timestamp of the last report.
    report: Steady<(i64, u32)>,
    /// Newest RTP timestamp asked for and the answer.
    last: Option<(u32, Instant)>,
}

impl CaptureClock {
    /// A sender report of a stream came. `stream` is any number unique in this clock, such as the SSRC;
    /// `clock_rate` in ticks per second; `rtp` is the report's RTP timestamp.
    pub fn sender_report(
        &mut self,
        stream: u32,
        clock_rate: u32,
        ntp: SystemTime,
        rtp: u32,
        arrival: Instant,
    ) {
        let Some(ntp) = unix_micros(ntp) else { return };
        let origin = *self.origin.get_or_insert(arrival);
        let near = |(ntp, rtp): (i64, u32), (other_ntp, other_rtp): (i64, u32)| {
            is_jump_free(ntp + micros_between(rtp, other_rtp, clock_rate), other_ntp)
        };
        self.stream(stream).report.take((ntp, rtp), near);

        let sample = arrival.saturating_duration_since(origin).as_micros() as i64 - ntp;
        let before = self.difference.value;
        let jumped = self.difference.take(sample, is_jump_free);
        if let (Some(before), Some(now), false) = (before, self.difference.value, jumped) {
            let slowly = before + (now - before).max(0) / RISE;
            self.difference.value = Some(now.min(slowly));
        }
    }

    /// When what carries this RTP timestamp was captured. Never later than `arrival`; never earlier than what an
    /// older timestamp of the stream got. Without a credible report it is the arrival itself.
    pub fn capture_time(
        &mut self,
        stream: u32,
        clock_rate: u32,
        rtp: u32,
        arrival: Instant,
    ) -> Instant {
        let (origin, difference) = (self.origin, self.difference.value);
        let stream = self.stream(stream);
        if let Some((_, time)) = stream.last.filter(|(last, _)| *last == rtp) {
            return time;
        }
        let reported = || {
            let (ntp, anchor) = stream.report.value?;
            let micros = ntp + micros_between(anchor, rtp, clock_rate) + difference?;
            at(origin?, micros)
        };
        let age_is_credible = |time: &Instant| arrival.saturating_duration_since(*time) <= MAX_AGE;
        let time = reported()
            .filter(age_is_credible)
            .unwrap_or(arrival)
            .min(arrival);
        match stream.last {
            Some((last, _)) if (rtp.wrapping_sub(last) as i32) < 0 => time,
            last => {
                let time = last.map_or(time, |(_, before)| time.max(before));
                stream.last = Some((rtp, time));
                time
            }
        }
    }

    /// A stream ended.
    pub fn remove(&mut self, stream: u32) {
        self.streams.retain(|entry| entry.key != stream);
    }

    fn stream(&mut self, key: u32) -> &mut Stream {
        let index = self
            .streams
            .iter()
            .position(|stream| stream.key == key)
            .unwrap_or_else(|| {
                self.streams.push(Stream {
                    key,
                    report: Steady::default(),
                    last: None,
                });
                self.streams.len() - 1
            });
        &mut self.streams[index]
    }
}

fn is_jump_free(one: i64, other: i64) -> bool {
    one.abs_diff(other) <= JUMP.as_micros() as u64
}

/// Microseconds from one RTP timestamp to another, which may be the earlier one.
fn micros_between(from: u32, to: u32, clock_rate: u32) -> i64 {
    i64::from(to.wrapping_sub(from) as i32) * 1_000_000 / i64::from(clock_rate.max(1))
}

fn at(origin: Instant, micros: i64) -> Option<Instant> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        origin.checked_sub(distance)
    } else {
        origin.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOICE: u32 = 1;
    const PICTURE: u32 = 2;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
    fn start() -> Instant {
        Instant::now()
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn ntp(after: Duration) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + after
    }

    #[test]
    fn voice_and_lips_captured_together_get_one_time_whatever_their_delays() {
        let start = start();
        let mut clock = CaptureClock::default();
        clock.sender_report(VOICE, 48_000, ntp(millis(0)), 5_000, start + millis(40));
        clock.sender_report(
            PICTURE,
            90_000,
            ntp(millis(100)),
            4_294_967_000,
            start + millis(190),
        );
        // Both captured at 1 s; the picture took longer on its way.
        let voice = clock.capture_time(VOICE, 48_000, 53_000, start + millis(1_050));
        let picture = clock.capture_time(
            PICTURE,
            90_000,
            4_294_967_000u32.wrapping_add(81_000),
            start + millis(1_200),
        );
        let apart = voice.max(picture) - voice.min(picture);
        assert!(apart < millis(1), "{apart:?}");
        // Late by the shortest delay seen, but for a slow rise.
        let late = voice - start - millis(1_000);
        assert!((millis(40)..millis(42)).contains(&late), "{late:?}");
    }

    #[test]
    fn before_the_first_report_arrival_serves() {
        let start = start();
        let mut clock = CaptureClock::default();
        assert_eq!(clock.capture_time(VOICE, 48_000, 7, start), start);
        assert_eq!(
            clock.capture_time(VOICE, 48_000, 7, start + millis(3)),
            start,
            "packets of a frame agree"
        );
    }

    #[test]
    fn a_single_report_out_of_line_changes_nothing() {
        let start = start();
        let mut clock = CaptureClock::default();
        clock.sender_report(VOICE, 48_000, ntp(millis(0)), 0, start);
        clock.sender_report(
            VOICE,
            48_000,
            ntp(millis(60_000)),
            48_000,
            start + millis(1_000),
        );
        let time = clock.capture_time(VOICE, 48_000, 96_000, start + millis(2_010));
        assert_eq!(time, start + millis(2_000));
    }

    #[test]
    fn a_publisher_whose_clock_was_set_is_followed_from_the_second_report() {
        let start = start();
        let mut clock = CaptureClock::default();
        clock.sender_report(VOICE, 48_000, ntp(millis(0)), 0, start);
        clock.sender_report(
            VOICE,
            48_000,
            ntp(millis(61_000)),
            48_000,
            start + millis(1_000),
        );
        clock.sender_report(
            VOICE,
            48_000,
            ntp(millis(62_000)),
            96_000,
            start + millis(2_000),
        );
        let time = clock.capture_time(VOICE, 48_000, 144_000, start + millis(3_010));
        assert_eq!(time, start + millis(3_000));
    }

    #[test]
    fn a_removed_stream_is_forgotten() {
        let start = start();
        let mut clock = CaptureClock::default();
        clock.sender_report(VOICE, 48_000, ntp(millis(0)), 0, start);
        clock.remove(VOICE);
        let arrival = start + millis(1_010);
        assert_eq!(clock.capture_time(VOICE, 48_000, 48_000, arrival), arrival);
    }

    proptest! {
        #[test]
        fn time_never_runs_back_nor_ahead_of_arrival_whatever_is_reported(
            steps in proptest::collection::vec((any::<bool>(), 0u64..100_000_000, any::<u32>(), 1u32..9_000), 1..80)
        ) {
            let start = start();
            let mut clock = CaptureClock::default();
            let (mut arrival, mut rtp, mut last) = (start, 0u32, start);
            for (report, ntp_micros, report_rtp, step) in steps {
                arrival += millis(20);
                if report {
                    clock.sender_report(PICTURE, 90_000, ntp(Duration::from_micros(ntp_micros)), report_rtp, arrival);
                }
                rtp = rtp.wrapping_add(step);
                let time = clock.capture_time(PICTURE, 90_000, rtp, arrival);
                prop_assert!(time <= arrival);
                prop_assert!(time >= last || last == start);
                last = time;
            }
        }
    }
}
