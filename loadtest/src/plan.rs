//! Who is in which room and sends what.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::payload::{MIN_AUDIO_BYTES, MIN_VIDEO_BYTES};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// Calls of two: both send and receive.
    Calls,
    /// Everybody sends and receives.
    Meeting,
    /// One sends, the others receive.
    Fanout,
    /// A meeting of microphones.
    Audio,
    /// One sends three layers of video, the others receive.
    Simulcast,
    /// Everybody sends messages to everybody.
    Data,
    /// Participants who join and stay silent.
    Idle,
}

/// The load of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) shape: Shape,
    pub(crate) rooms: u32,
    /// In each room.
    pub(crate) participants: u32,
    pub(crate) video_tracks: u32,
    pub(crate) audio_tracks: u32,
    pub(crate) fps: u32,
    /// RTP packets of one video frame; they leave as one burst.
    pub(crate) packets_per_frame: u32,
    /// RTP payload of a video packet, bytes.
    pub(crate) packet_bytes: usize,
    /// RTP payload of an audio packet, bytes; one each 20 ms.
    pub(crate) audio_bytes: usize,
    /// Messages a second of each sender, and their bytes.
    pub(crate) message_rate: u32,
    pub(crate) message_bytes: usize,
    pub(crate) reliable: bool,
}

/// One encoding of a track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) rid: Option<&'static str>,
    pub(crate) payload_bytes: usize,
    pub(crate) packets: u32,
    pub(crate) interval: Duration,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// One track to publish.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) video: bool,
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
}

/// Messages to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) interval: Duration,
    pub(crate) bytes: usize,
    pub(crate) reliable: bool,
}

impl Load {
    pub(crate) fn bots(&self) -> u32 {
        self.rooms * self.participants
    }

    /// What the participant with this place in its room sends.
    pub(crate) fn tracks(&self, place: u32) -> Vec<Track> {
        let sends = match self.shape {
            Shape::Calls | Shape::Meeting | Shape::Audio => true,
            Shape::Fanout | Shape::Simulcast => place == 0,
            Shape::Data | Shape::Idle => false,
        };
        if !sends {
            return Vec::new();
        }
        let audio = (0..self.audio_tracks).map(|_| Track {
            video: false,
            layers: vec![self.audio_layer()],
        });
        let videos = if self.shape == Shape::Audio {
            0
        } else {
            self.video_tracks
        };
        let video = (0..videos).map(|_| Track {
            video: true,
            layers: self.video_layers(),
        });
        audio.chain(video).collect()
    }

    pub(crate) fn messages(&self) -> Option<Messages> {
        (self.shape == Shape::Data).then(|| Messages {
            interval: Duration::from_secs(1) / self.message_rate.max(1),
            bytes: self.message_bytes,
            reliable: self.reliable,
        })
    }

    fn audio_layer(&self) -> Layer {
        Layer {
            rid: None,
            payload_bytes: self.audio_bytes.max(MIN_AUDIO_BYTES),
            packets: 1,
            interval: Duration::from_millis(20),
            width: 0,
            height: 0,
        }
    }

    fn video_layers(&self) -> Vec<Layer> {
        let layer = |rid, packets: u32, width, height| Layer {
            rid,
            payload_bytes: self.packet_bytes.max(MIN_VIDEO_BYTES),
            packets: packets.max(1),
            interval: Duration::from_secs(1) / self.fps.max(1),
            width,
            height,
        };
        if self.shape != Shape::Simulcast {
            return vec![layer(None, self.packets_per_frame, 1280, 720)];
        }
        vec![
            layer(Some("q"), self.packets_per_frame / 10, 320, 180),
            layer(Some("h"), self.packets_per_frame / 3, 640, 360),
            layer(Some("f"), self.packets_per_frame, 1280, 720),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(shape: Shape) -> Load {
        Load {
            shape,
            rooms: 2,
            participants: 3,
            video_tracks: 1,
            audio_tracks: 1,
            fps: 30,
            packets_per_frame: 10,
            packet_bytes: 1_200,
            audio_bytes: 1,
            message_rate: 5,
            message_bytes: 100,
            reliable: false,
        }
    }

    #[test]
    fn each_shape_has_its_senders() {
        let senders = |shape| {
            (0..3)
                .filter(|place| !load(shape).tracks(*place).is_empty())
                .count()
        };
        assert_eq!(senders(Shape::Meeting), 3);
        assert_eq!(senders(Shape::Fanout), 1);
        assert_eq!(senders(Shape::Idle), 0);
        assert!(
            load(Shape::Audio)
                .tracks(0)
                .iter()
                .all(|track| !track.video)
        );
        assert_eq!(load(Shape::Simulcast).tracks(0)[1].layers.len(), 3);
        assert!(load(Shape::Data).messages().is_some());
    }

    #[test]
    fn payloads_always_have_room_for_a_stamp() {
        assert_eq!(
            load(Shape::Calls).tracks(0)[0].layers[0].payload_bytes,
            MIN_AUDIO_BYTES
        );
    }
}
