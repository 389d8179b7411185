//! Clocks of media: layers of one track, and all tracks of one publisher, tied together by RTCP sender reports.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

const MAX_LAYERS: usize = 3;
/// Reports further apart from what the clock so far predicts mean that the sender's clock was set anew, if a second one agrees.
const MAX_JUMP: Duration = Duration::from_secs(2);
/// Media is not older than this when it arrives; a report that says otherwise is not believed.
const MAX_AGE: Duration = Duration::from_secs(3);
/// How fast the shortest transit may rise between reports, so that drifting clocks are followed: 1 ms a report.
const DRIFT: Duration = Duration::from_millis(1);

/// The moment a sender report speaks of (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug)]
struct Report {
    ntp: SystemTime,
    rtp: u32,
}

/// RTP clocks of the simulcast encodings of one track.
#[derive(Debug, Default)]
pub struct LayerClocks {
    reports: [Option<Report>; MAX_LAYERS],
    rate: u32,
}

impl LayerClocks {
    /// Takes a sender report of an encoding; `rate` is the RTP clock rate in Hz.
    pub fn sender_report(&mut self, encoding: u8, ntp: SystemTime, rtp: u32, rate: u32) {
        self.rate = rate;
        if let Some(report) = self.reports.get_mut(usize::from(encoding)) {
            *report = Some(Report { ntp, rtp });
        }
    }

    /// What to add (wrapping) to an encoding's timestamps to get those of encoding 0; `None` until both reported.
    pub fn offset(&self, encoding: u8) -> Option<u32> {
        if encoding == 0 {
            return Some(0);
        }
        let base = self.reports[0]?;
        let other = (*self.reports.get(usize::from(encoding))?)?;
        let base_then = base
            .rtp
            .wrapping_add(ticks_between(base.ntp, other.ntp, self.rate));
        Some(base_then.wrapping_sub(other.rtp))
    }
}

/// Ticks from one moment to another, wrapping; negative if the second is earlier.
fn ticks_between(from: SystemTime, to: SystemTime, rate: u32) -> u32 {
    let ticks =
        |duration: Duration| (duration.as_secs_f64() * f64::from(rate)).round() as u64 as u32;
    match to.duration_since(from) {
        Ok(ahead) => ticks(ahead),
        Err(behind) => ticks(behind.duration()).wrapping_neg(),
    }
}

/// When media of a publisher was captured, on our clock; the same for all its tracks, so that lips stay in sync. `K`
/// names a track.
#[derive(Debug)]
pub struct CaptureClock<K> {
    tracks: BTreeMap<K, Report>,
    anchor: Option<Anchor>,
    /// By the last report, if that was far from what was predicted.
    doubtful: Option<Anchor>,
}

/// Ties the publisher's wall clock to ours by the report that travelled fastest.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ntp: SystemTime,
    local: Instant,
}

impl Anchor {
    /// The anchor after a report that may have travelled faster or slower; `None` if it is of another clock.
    fn follow(self, heard: Self) -> Option<Self> {
        let predicted = self.local(heard.ntp)?;
        if heard.local <= predicted {
            // Arrived sooner after its making than any before, or as soon: the better measure.
            return (predicted - heard.local <= MAX_JUMP).then_some(heard);
        }
        (heard.local - predicted <= MAX_JUMP).then(|| Self {
            ntp: heard.ntp,
            local: (predicted + DRIFT).min(heard.local),
        })
    }

    /// The moment on our clock; `None` if it is beyond what the clock can hold.
    fn local(&self, ntp: SystemTime) -> Option<Instant> {
        match ntp.duration_since(self.ntp) {
            Ok(ahead) => self.local.checked_add(ahead),
            Err(behind) => self.local.checked_sub(behind.duration()),
        }
    }
}

impl<K> Default for CaptureClock<K> {
    fn default() -> Self {
        Self {
            tracks: BTreeMap::new(),
            anchor: None,
            doubtful: None,
        }
    }
}

impl<K: Copy + Ord> CaptureClock<K> {
    /// Takes a sender report of a track that arrived at `now`.
    pub fn sender_report(&mut self, track: K, ntp: SystemTime, rtp: u32, _rate: u32, now: Instant) {
        let heard = Anchor { ntp, local: now };
        let doubtful = self.doubtful.take();
        self.anchor = match self.anchor.map(|anchor| anchor.follow(heard)) {
            Some(Some(followed)) => Some(followed),
            // One report may be broken; two that agree are a clock set anew.
            Some(None) if doubtful.is_none_or(|doubtful| doubtful.follow(heard).is_none()) => {
                self.doubtful = Some(heard);
                return;
            }
            _ => Some(heard),
        };
        self.tracks.insert(track, Report { ntp, rtp });
    }

    /// When the media with this timestamp was captured; `now` until the track reported.
    pub fn capture_time(&mut self, track: K, rtp: u32, rate: u32, now: Instant) -> Instant {
        let captured = self
            .anchor
            .zip(self.tracks.get(&track))
            .and_then(|(anchor, report)| {
                let ticks = rtp.wrapping_sub(report.rtp) as i32;
                let distance = Duration::from_secs_f64(
                    f64::from(ticks.unsigned_abs()) / f64::from(rate.max(1)),
                );
                let ntp = if ticks >= 0 {
                    report.ntp.checked_add(distance)
                } else {
                    report.ntp.checked_sub(distance)
                };
                anchor.local(ntp?)
            });
        match captured {
            Some(captured) if captured <= now && now - captured <= MAX_AGE => captured,
            _ => now,
        }
    }

    /// Forgets a track that ended.
    pub fn forget(&mut self, track: K) {
        self.tracks.remove(&track);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made from the clock"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn ntp(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000) + Duration::from_millis(ms)
    }

    #[test]
    fn layers_meet_on_the_clock_of_the_lowest() {
        let mut clocks = LayerClocks::default();
        assert_eq!(clocks.offset(1), None);
        clocks.sender_report(0, ntp(0), 1_000, 90_000);
        clocks.sender_report(1, ntp(100), 500_000, 90_000);
        // 100 ms later encoding 0 stands at 10,000.
        let offset = clocks.offset(1).unwrap();
        assert!((500_000u32.wrapping_add(offset)).abs_diff(10_000) <= 1);
    }

    #[test]
    fn sound_and_picture_of_one_moment_get_one_time() {
        let (now, ms) = (start(), Duration::from_millis);
        let mut clock = CaptureClock::default();
        clock.sender_report("audio", ntp(0), 48_000, 48_000, now + ms(40));
        // This report was held up by 60 ms; the clock must not follow it far.
        clock.sender_report("video", ntp(500), 9_000, 90_000, now + ms(600));
        let at = now + ms(1_100);
        let audio = clock.capture_time("audio", 48_000 + 48_000, 48_000, at);
        let video = clock.capture_time("video", 9_000 + 45_000, 90_000, at);
        let apart = audio.max(video) - audio.min(video);
        assert!(apart <= ms(1), "{apart:?}");
        assert!(at - audio >= ms(55) && at - audio <= ms(62));
    }

    #[test]
    fn one_broken_report_changes_nothing_and_two_that_agree_are_a_clock_set_anew() {
        let (now, ms) = (start(), Duration::from_millis);
        let mut clock = CaptureClock::default();
        clock.sender_report("audio", ntp(100_000), 0, 48_000, now + ms(40));
        clock.sender_report("audio", ntp(0), 48_000, 48_000, now + ms(1_040));
        let at = now + ms(2_040);
        assert_eq!(
            at - clock.capture_time("audio", 96_000 - 4_800, 48_000, at),
            ms(100)
        );
        // From here on the publisher's clock is 90 s behind what it was.
        clock.sender_report("audio", ntp(13_000), 144_000, 48_000, now + ms(3_040));
        clock.sender_report("audio", ntp(14_000), 192_000, 48_000, now + ms(4_040));
        let at = now + ms(5_040);
        assert_eq!(
            at - clock.capture_time("audio", 240_000 - 4_800, 48_000, at),
            ms(100)
        );
    }

    #[test]
    fn a_report_from_another_age_is_not_followed_into_the_future() {
        let now = start();
        let mut clock = CaptureClock::default();
        clock.sender_report("audio", ntp(0), 0, 48_000, now);
        assert_eq!(
            clock.capture_time("audio", 48_000 * 3_600, 48_000, now),
            now
        );
        assert_eq!(clock.capture_time("unknown", 1, 48_000, now), now);
    }
}
