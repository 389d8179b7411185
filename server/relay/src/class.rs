//! What a packet is worth: the order in which packets leave, and how long they are worth sending.

use std::time::Duration;

/// What a media packet is, by falling importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaClass {
    /// Speech and other sound.
    Audio,
    /// Small messages about media, such as RTCP.
    Control,
    /// The lowest layer of a video and its key frames: without them nothing is seen.
    VideoBase,
    /// What makes a video better.
    VideoEnhancement,
    /// Padding that probes for bandwidth.
    Probe,
}

impl MediaClass {
    /// Every class, the most important first.
    pub const ALL: [Self; 5] = [
        Self::Audio,
        Self::Control,
        Self::VideoBase,
        Self::VideoEnhancement,
        Self::Probe,
    ];

    /// Its number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Audio => 0,
            Self::Control => 1,
            Self::VideoBase => 2,
            Self::VideoEnhancement => 3,
            Self::Probe => 4,
        }
    }

    /// The class with this number; `None` for numbers that a later version may use.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// Video is repaired by asking again.
    pub fn is_video(self) -> bool {
        matches!(self, Self::VideoBase | Self::VideoEnhancement)
    }
}

/// The queues of the scheduler, in the order they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendClass {
    /// A media packet on its first way, or the second copy of a sound packet.
    Media(MediaClass),
    /// A packet that the far side asked for again.
    Retransmission,
}

impl SendClass {
    /// Every queue, the first served first.
    pub const ALL: [Self; 6] = [
        Self::Media(MediaClass::Audio),
        Self::Media(MediaClass::Control),
        Self::Media(MediaClass::VideoBase),
        Self::Media(MediaClass::VideoEnhancement),
        Self::Retransmission,
        Self::Media(MediaClass::Probe),
    ];

    /// Its place in [`Self::ALL`].
    pub fn rank(self) -> usize {
        match self {
            Self::Media(MediaClass::Audio) => 0,
            Self::Media(MediaClass::Control) => 1,
            Self::Media(MediaClass::VideoBase) => 2,
            Self::Media(MediaClass::VideoEnhancement) => 3,
            Self::Retransmission => 4,
            Self::Media(MediaClass::Probe) => 5,
        }
    }

    /// After this time in the queue a packet is worth nothing to its listener or viewer any more.
    pub fn deadline(self) -> Duration {
        Duration::from_millis(match self {
            Self::Media(MediaClass::Audio | MediaClass::Control) => 200,
            Self::Media(MediaClass::Probe) => 50,
            _ => 300,
        })
    }

    /// Bytes that may wait.
    pub fn room(self) -> usize {
        match self {
            Self::Media(MediaClass::Audio | MediaClass::Control) => 128 << 10,
            Self::Media(MediaClass::VideoBase | MediaClass::VideoEnhancement) => 1 << 20,
            Self::Retransmission => 256 << 10,
            Self::Media(MediaClass::Probe) => 16 << 10,
        }
    }

    /// Leaves even when the rate is used up, within one burst: these packets are few, small and urgent.
    pub fn may_borrow(self) -> bool {
        matches!(self, Self::Media(MediaClass::Audio | MediaClass::Control))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_codes_follow_the_lists() {
        for (place, class) in SendClass::ALL.into_iter().enumerate() {
            assert_eq!(class.rank(), place);
        }
        for class in MediaClass::ALL {
            assert_eq!(MediaClass::from_code(class.code()), Some(class));
        }
        assert_eq!(MediaClass::from_code(7), None);
    }
}
