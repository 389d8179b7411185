//! Asking publishers for key frames, not more often than they can bear.

use std::time::{Duration, Instant};

use super::forward::MAX_ENCODINGS;

/// Key frames of the lowest encoding are cheap.
const LOW_INTERVAL: Duration = Duration::from_millis(500);
const HIGH_INTERVAL: Duration = Duration::from_secs(1);

/// Coalesces the key frame requests of all subscribers of one track, per encoding.
///
/// The first request goes out at once. One that comes too soon after goes out when the interval ends, unless a key
/// frame has arrived meanwhile.
#[derive(Clone, Debug, Default)]
pub struct KeyFrameThrottle {
    encodings: [Encoding; MAX_ENCODINGS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Encoding {
    asked_at: Option<Instant>,
    waiting: bool,
}

impl KeyFrameThrottle {
    /// A subscriber needs a key frame of `encoding`. `true`: ask the publisher now.
    pub fn request(&mut self, now: Instant, encoding: u8) -> bool {
        let interval = interval(encoding);
        let Some(entry) = self.encodings.get_mut(usize::from(encoding)) else {
            return false;
        };
        let too_soon = entry.asked_at.is_some_and(|asked| now < asked + interval);
        entry.waiting = too_soon;
        if !too_soon {
            entry.asked_at = Some(now);
        }
        !too_soon
    }

    /// A key frame of `encoding` arrived: nobody waits any more.
    pub fn key_frame_arrived(&mut self, encoding: u8) {
        if let Some(entry) = self.encodings.get_mut(usize::from(encoding)) {
            entry.waiting = false;
        }
    }

    /// Next encoding to ask the publisher for, among those whose interval has ended. Call until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<u8> {
        let (encoding, entry) = (0u8..).zip(&mut self.encodings).find(|(encoding, entry)| {
            entry.waiting
                && entry
                    .asked_at
                    .is_none_or(|asked| now >= asked + interval(*encoding))
        })?;
        *entry = Encoding {
            asked_at: Some(now),
            waiting: false,
        };
        Some(encoding)
    }

    /// When to call [`Self::poll`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (0u8..)
            .zip(&self.encodings)
            .filter(|(_, entry)| entry.waiting)
            .filter_map(|(encoding, entry)| Some(entry.asked_at? + interval(encoding)))
            .min()
    }
}

fn interval(encoding: u8) -> Duration {
    if encoding == 0 {
        LOW_INTERVAL
    } else {
        HIGH_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_first_request_goes_at_once_and_the_rest_together_when_the_interval_ends() {
        let start = start();
        let mut throttle = KeyFrameThrottle::default();
        assert!(throttle.request(start, 2));
        assert!(
            throttle.request(start, 0),
            "encodings do not hinder each other"
        );
        assert!(!throttle.request(start + Duration::from_millis(10), 2));
        assert!(!throttle.request(start + Duration::from_millis(990), 2));
        let due = start + HIGH_INTERVAL;
        assert_eq!(throttle.poll_timeout(), Some(due));
        assert_eq!(throttle.poll(due - Duration::from_millis(1)), None);
        assert_eq!(throttle.poll(due), Some(2));
        assert_eq!((throttle.poll(due), throttle.poll_timeout()), (None, None));
        assert!(
            !throttle.request(due + Duration::from_millis(999), 2),
            "what was sent late counts too"
        );
    }

    #[test]
    fn a_key_frame_that_came_meanwhile_spares_the_request() {
        let start = start();
        let mut throttle = KeyFrameThrottle::default();
        throttle.request(start, 0);
        throttle.request(start + Duration::from_millis(100), 0);
        throttle.key_frame_arrived(0);
        assert_eq!(
            (throttle.poll_timeout(), throttle.poll(start + LOW_INTERVAL)),
            (None, None)
        );
        assert!(throttle.request(start + LOW_INTERVAL, 0));
    }

    #[test]
    fn an_encoding_that_cannot_exist_is_never_asked_for() {
        assert!(!KeyFrameThrottle::default().request(start(), 200));
    }
}
