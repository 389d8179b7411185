//! What a replica wants of another's track.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::info::VideoQuality;

/// How long a layer nobody wants any more is still asked for, so that a change of mind costs no key frame.
const HOLD: Duration = Duration::from_secs(3);

/// What the participants of one replica want of a track of another. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDemand {
    /// Best quality anybody there has use for, whether or not there is bandwidth; `None` for audio.
    pub quality: Option<VideoQuality>,
    /// Encodings of the main source to relay, one bit each from the lowest; 0 = none.
    pub encodings: u8,
}

impl LayerDemand {
    /// Whether a simulcast encoding is asked for.
    pub fn wants(self, encoding: usize) -> bool {
        encoding < 8 && self.encodings & (1 << encoding) != 0
    }

    fn union(self, other: Self) -> Self {
        Self {
            quality: self.quality.max(other.quality),
            encodings: self.encodings | other.encodings,
        }
    }
}

/// A demand as the owner was told: grows at once, shrinks after a hold.
#[derive(Debug, Default)]
pub(crate) struct HeldDemand {
    told: LayerDemand,
    lower_at: Option<Instant>,
}

impl HeldDemand {
    /// Takes what is wanted now; gives back what to tell, if anything.
    pub(crate) fn update(&mut self, now: Instant, wanted: LayerDemand) -> Option<LayerDemand> {
        let before = self.told;
        self.told = self.told.union(wanted);
        if self.told == wanted {
            self.lower_at = None;
        } else if *self.lower_at.get_or_insert(now + HOLD) <= now {
            self.told = wanted;
            self.lower_at = None;
        }
        (self.told != before).then_some(self.told)
    }

    pub(crate) fn told(&self) -> LayerDemand {
        self.told
    }

    /// When to call [`Self::update`] again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lower_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_told_at_once_and_less_after_a_hold() {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock"
        )]
        let start = Instant::now();
        let layers = |encodings| LayerDemand {
            quality: Some(VideoQuality::High),
            encodings,
        };
        let mut held = HeldDemand::default();
        assert_eq!(held.update(start, layers(0b100)), Some(layers(0b100)));
        assert_eq!(held.update(start, layers(0b001)), Some(layers(0b101)));
        assert_eq!(held.poll_timeout(), Some(start + HOLD));
        assert_eq!(held.update(start + HOLD / 2, layers(0b001)), None);
        assert_eq!(
            held.update(start + HOLD, layers(0b001)),
            Some(layers(0b001))
        );
        assert_eq!(held.update(start + HOLD, LayerDemand::default()), None);
        assert_eq!(
            held.update(start + HOLD, layers(0b001)),
            None,
            "a change of mind"
        );
        assert_eq!(held.poll_timeout(), None);
    }
}
