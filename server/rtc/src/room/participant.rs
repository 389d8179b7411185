//! One participant: what others see, what it asked for, and its transports.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use str0m::rtp::Ssrc;

use super::data_track::DataTrackState;
use super::{ParticipantKey, SubscriptionKey, TrackKey};
use crate::command::{AddTrack, PeerMode, SubscriptionPermission, Target, TrackSettings};
use crate::id::{ConnectionId, Identity, Mid, ParticipantSid, Rid, TrackSid};
use crate::info::{ParticipantInfo, ParticipantState, TrackKind};
use crate::media::allocator::Allocator;
use crate::media::clock::CaptureClock;
use crate::media::quality::QualityScorer;
use crate::sdp_text::OfferedSection;
use crate::transport::Transport;

/// A participant of a room.
pub(crate) struct Participant {
    pub(super) key: ParticipantKey,
    pub(super) info: ParticipantInfo,
    /// `info` as last sent.
    pub(super) snapshot: Arc<ParticipantInfo>,
    /// The signalling connection, while there is one.
    pub(super) connection: Option<ConnectionId>,
    pub(super) auto_subscribe: bool,
    /// Whether the subscriber connection decides that the participant is connected.
    pub(super) subscriber_primary: bool,
    /// The only connection in single mode.
    pub(super) publisher: Transport,
    pub(super) subscriber: Option<Transport>,
    /// Sessions of this identity known when it joined, this one included: of two, the later one counts.
    pub(super) generation: u64,
    /// Changes told to other replicas.
    pub(super) revision: u64,
    pub(super) uplink: Uplink,
    pub(super) downlink: Downlink,
    pub(super) data: DataState,
    pub(super) data_tracks: DataTrackState,
    pub(super) deadlines: Deadlines,
    pub(super) scorer: QualityScorer,
    /// NACKs counted so far, by section, layer, and whether it is incoming media.
    pub(super) nacks: HashMap<(Mid, Option<Rid>, bool), u64>,
    /// Set by [`Scenario`](crate::Scenario)s: drop the signalling connection right after the next resume.
    pub(super) drop_on_resume: bool,
}

/// What the participant sends.
#[derive(Default)]
pub(super) struct Uplink {
    /// Announced, without a media section yet.
    pub(super) pending: Vec<PendingTrack>,
    /// In the order of publication.
    pub(super) tracks: Vec<TrackKey>,
    /// Sending sections no announcement was found for yet.
    pub(super) unmatched: Vec<OfferedSection>,
    pub(super) routes: HashMap<Ssrc, MediaRoute>,
    pub(super) clock: CaptureClock<TrackKey>,
    pub(super) permission: Option<SubscriptionPermission>,
}

/// A track announced with `add_track`.
pub(super) struct PendingTrack {
    pub(super) sid: TrackSid,
    pub(super) add: AddTrack,
    pub(super) muted: bool,
}

/// Which encoding of which track an SSRC is.
#[derive(Clone, Copy)]
pub(super) struct MediaRoute {
    pub(super) track: TrackKey,
    pub(super) source: usize,
    pub(super) encoding: usize,
}

/// What the participant receives.
pub(super) struct Downlink {
    pub(super) subscriptions: Vec<SubscriptionKey>,
    /// Sections that carry a subscription.
    pub(super) sections: BTreeMap<Mid, SubscriptionKey>,
    /// Single mode: sections of the client's last offer on which it can receive.
    pub(super) receivable: Vec<(Mid, TrackKind)>,
    /// Dual mode: sections of the server's offers that carry nothing at present.
    pub(super) idle: Vec<(Mid, TrackKind)>,
    /// Sections that lost their track and have not been negotiated since.
    pub(super) released: Vec<(Mid, TrackKind)>,
    /// The client was asked to offer and has not done so yet.
    pub(super) requirement_open: bool,
    pub(super) needs_negotiation: bool,
    /// The client's choices, against `auto_subscribe`.
    pub(super) choices: BTreeMap<TrackSid, bool>,
    pub(super) settings: BTreeMap<TrackSid, TrackSettings>,
    /// Bits per second, estimated.
    pub(super) bandwidth: u64,
    /// Set by a scenario, bits per second; 0 = none.
    pub(super) bandwidth_cap: u64,
    pub(super) allocator: Allocator,
    /// What the estimator was told to sustain and to look for, bits per second.
    pub(super) told: (u64, u64),
}

/// Reliable data bookkeeping.
#[derive(Default)]
pub(super) struct DataState {
    /// Highest number of a reliable message received from the participant.
    pub(super) last_sequence: u32,
}

/// When the participant is given up.
#[derive(Default)]
pub(super) struct Deadlines {
    /// The transport must be up by then.
    pub(super) connect: Option<Instant>,
    /// Signalling was lost then.
    pub(super) signal_lost: Option<Instant>,
    /// Last datagram or message.
    pub(super) last_heard: Option<Instant>,
}

impl Downlink {
    pub(super) fn new(bandwidth: u64) -> Self {
        Self {
            subscriptions: Vec::new(),
            sections: BTreeMap::new(),
            receivable: Vec::new(),
            idle: Vec::new(),
            released: Vec::new(),
            requirement_open: false,
            needs_negotiation: false,
            choices: BTreeMap::new(),
            settings: BTreeMap::new(),
            bandwidth,
            bandwidth_cap: 0,
            allocator: Allocator::default(),
            told: (0, 0),
        }
    }

    /// Bits per second to share out.
    pub(super) fn budget(&self) -> u64 {
        match self.bandwidth_cap {
            0 => self.bandwidth,
            cap => self.bandwidth.min(cap),
        }
    }
}

impl Participant {
    pub(super) fn sid(&self) -> &ParticipantSid {
        &self.info.sid
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.info.identity
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.info.permission.hidden
    }

    /// Whether others know of it.
    pub(super) fn is_announced(&self) -> bool {
        self.info.state >= ParticipantState::Joined && !self.is_hidden()
    }

    pub(super) fn mode(&self) -> PeerMode {
        if self.subscriber.is_some() {
            PeerMode::Dual
        } else {
            PeerMode::Single
        }
    }

    pub(super) fn transport(&mut self, target: Target) -> Option<&mut Transport> {
        match target {
            Target::Publisher => Some(&mut self.publisher),
            Target::Subscriber => self.subscriber.as_mut(),
        }
    }

    /// The transport that carries media to the participant.
    pub(super) fn downstream(&mut self) -> &mut Transport {
        self.subscriber.as_mut().unwrap_or(&mut self.publisher)
    }

    /// The transport whose coming up makes the participant active.
    pub(super) fn primary(&self) -> Target {
        if self.subscriber_primary {
            Target::Subscriber
        } else {
            Target::Publisher
        }
    }

    /// Whether a transport has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        self.publisher.failure().is_some()
            || self
                .subscriber
                .as_ref()
                .is_some_and(|s| s.failure().is_some())
    }
}
