//! Requests for key frames, coalesced: a room full of new subscribers costs a publisher one key frame.

use std::time::{Duration, Instant};

const MAX_ENCODINGS: usize = 3;
/// Shortest time between two requests for one encoding. Longer saves bandwidth of the publisher, shorter lets those
/// who came right after a key frame see sooner.
const INTERVAL: Duration = Duration::from_millis(500);

/// The requests for the encodings of one source.
#[derive(Debug, Default)]
pub struct KeyFrameThrottle {
    encodings: [State; MAX_ENCODINGS],
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    sent: Option<Instant>,
    waiting: bool,
}

impl KeyFrameThrottle {
    /// Whether to send a request now; if not, it is remembered and comes up in [`Self::poll_due`].
    pub fn request(&mut self, now: Instant, encoding: u8) -> bool {
        let Some(state) = self.encodings.get_mut(usize::from(encoding)) else {
            return false;
        };
        if state.sent.is_some_and(|sent| now < sent + INTERVAL) {
            state.waiting = true;
            return false;
        }
        *state = State {
            sent: Some(now),
            waiting: false,
        };
        true
    }

    /// A key frame came: who waited for one has it.
    pub fn key_frame_arrived(&mut self, encoding: u8) {
        if let Some(state) = self.encodings.get_mut(usize::from(encoding)) {
            state.waiting = false;
        }
    }

    /// When the next remembered request is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.encodings
            .iter()
            .filter(|state| state.waiting)
            .filter_map(|state| Some(state.sent? + INTERVAL))
            .min()
    }

    /// An encoding whose remembered request is due; it counts as sent.
    pub fn poll_due(&mut self, now: Instant) -> Option<u8> {
        let due =
            |state: &State| state.waiting && state.sent.is_some_and(|sent| sent + INTERVAL <= now);
        let at = self.encodings.iter().position(due)?;
        self.encodings[at] = State {
            sent: Some(now),
            waiting: false,
        };
        Some(at as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_interval_become_one_and_a_key_frame_answers_them() {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock"
        )]
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut throttle = KeyFrameThrottle::default();
        assert!(throttle.request(start, 2));
        assert!(!throttle.request(start + ms(10), 2));
        assert!(throttle.request(start + ms(10), 0), "encodings are apart");
        assert_eq!(throttle.poll_timeout(), Some(start + INTERVAL));
        assert_eq!(throttle.poll_due(start + ms(400)), None);
        assert_eq!(throttle.poll_due(start + ms(500)), Some(2));
        assert_eq!(throttle.poll_due(start + ms(500)), None);
        assert!(!throttle.request(start + ms(600), 2));
        throttle.key_frame_arrived(2);
        assert_eq!(throttle.poll_timeout(), None);
        assert!(
            !throttle.request(start + ms(700), 9),
            "unknown encodings are refused"
        );
    }
}
