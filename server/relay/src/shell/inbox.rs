//! How packets and events reach the rest of the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;

use crate::hop::{HopStats, MediaPacket};
use crate::id::{BitsPerSecond, NodeId, RoomKey};

/// What happens on links, beside media.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A link works.
    Up {
        /// The other node.
        peer: NodeId,
        /// Smoothed round trip.
        round_trip: Duration,
    },
    /// A link has ended. It is dialled again without being asked.
    Down {
        /// The other node.
        peer: NodeId,
        /// Why, for the log.
        reason: String,
    },
    /// How a link is doing, every second.
    Quality {
        /// The other node.
        peer: NodeId,
        /// Smoothed round trip.
        round_trip: Duration,
        /// Share of packets lost on the way to the peer, before repair.
        loss: f64,
        /// What congestion control allows.
        rate: BitsPerSecond,
        /// Counts of both directions since the link came up.
        stats: HopStats,
    },
    /// Bytes for a room, in the order they were sent.
    Room {
        /// The other node.
        peer: NodeId,
        /// The room.
        room: RoomKey,
        /// In the rooms' own language.
        payload: Bytes,
    },
    /// The peer takes no new rooms.
    Draining {
        /// The other node.
        peer: NodeId,
    },
}

/// Takes what the relay delivers. Called on the relay's thread: it must return at once.
pub trait Delivery: Send + Sync + 'static {
    /// A media packet. What cannot be taken is lost.
    fn media(&self, peer: &NodeId, packet: MediaPacket);

    /// An event; it is offered again a little later when it is given back.
    ///
    /// # Errors
    /// Gives the event back when there is no room for it.
    fn event(&self, event: Event) -> Result<(), Box<Event>>;
}

/// A bounded queue to one reader thread, which is woken through a function of its own.
pub struct Inbox {
    media: SyncSender<(NodeId, MediaPacket)>,
    events: SyncSender<Event>,
    shared: Arc<Shared>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The reader's end of an [`Inbox`].
pub struct InboxReader {
    media: Receiver<(NodeId, MediaPacket)>,
    events: Receiver<Event>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    woken: AtomicBool,
    lost: AtomicU64,
}

impl Inbox {
    /// A queue with room for this many media packets and as many events. `wake` is called once when the empty queue gets
    /// something, from the relay's thread.
    pub fn new(capacity: usize, wake: impl Fn() + Send + Sync + 'static) -> (Self, InboxReader) {
        let (media, media_reader) = sync_channel(capacity);
        let (events, events_reader) = sync_channel(capacity);
        let shared = Arc::new(Shared::default());
        let reader = InboxReader {
            media: media_reader,
            events: events_reader,
            shared: shared.clone(),
        };
        (
            Self {
                media,
                events,
                shared,
                wake: Box::new(wake),
            },
            reader,
        )
    }

    fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

impl Delivery for Inbox {
    fn media(&self, peer: &NodeId, packet: MediaPacket) {
        match self.media.try_send((peer.clone(), packet)) {
            Ok(()) => self.wake(),
            Err(_) => drop(self.shared.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn event(&self, event: Event) -> Result<(), Box<Event>> {
        let taken = match self.events.try_send(event) {
            Err(TrySendError::Full(event)) => Err(Box::new(event)),
            // A reader that is gone wants nothing.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        };
        self.wake();
        taken
    }
}

impl InboxReader {
    /// Makes the next delivery wake the reader again. Call it before reading, so that nothing is missed.
    pub fn rearm(&self) {
        self.shared.woken.store(false, Ordering::Release);
    }

    /// The next media packet, with the node it came from.
    pub fn next_media(&self) -> Option<(NodeId, MediaPacket)> {
        self.media.try_recv().ok()
    }

    /// The next event.
    pub fn next_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Media packets that found the queue full.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}
