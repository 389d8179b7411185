//! One track on its way to one participant.

use str0m::media::Pt;

use super::{ParticipantKey, TrackKey};
use crate::command::TrackSettings;
use crate::id::{Mid, TrackSid};
use crate::info::{TrackKind, VideoQuality};
use crate::media::forward::Forwarder;

/// A subscription.
pub(crate) struct Subscription {
    pub(super) subscriber: ParticipantKey,
    pub(super) track: TrackKey,
    pub(super) sid: TrackSid,
    pub(super) kind: TrackKind,
    /// The section that carries it, once there is one.
    pub(super) mid: Option<Mid>,
    /// The section was negotiated, so that media may flow.
    pub(super) negotiated: bool,
    /// Which codec of the track it receives.
    pub(super) source: usize,
    pub(super) forwarder: Forwarder,
    pub(super) payload_type: Option<PayloadTypeMap>,
    /// The client does not want media at present.
    pub(super) disabled: bool,
    /// The best quality the client has use for.
    pub(super) wanted: VideoQuality,
    pub(super) priority: u32,
    /// Bandwidth does not allow even the lowest layer.
    pub(super) paused: bool,
}

/// How an incoming payload type leaves.
#[derive(Clone, Copy)]
pub(super) struct PayloadTypeMap {
    /// That of the publisher's format, and whether the audio comes redundantly.
    pub(super) incoming: (Pt, bool),
    /// `None`: the subscriber cannot decode it.
    pub(super) outgoing: Option<Pt>,
    /// The packet holds redundant audio the subscriber does not understand: only its newest block goes on.
    pub(super) strip_redundancy: bool,
}

impl Subscription {
    /// Takes what the client wants of the track.
    pub(super) fn apply(&mut self, settings: &TrackSettings, quality: VideoQuality) {
        self.disabled = settings.disabled;
        self.priority = settings.priority;
        self.wanted = quality;
    }

    /// Whether packets may go out now.
    pub(super) fn is_flowing(&self) -> bool {
        self.negotiated && !self.disabled && self.mid.is_some()
    }
}
