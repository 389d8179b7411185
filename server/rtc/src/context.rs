//! What every step of a room may use: settings, time, identifiers and the way out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;

use crate::config::ShardConfig;
use crate::counters::Counters;
use crate::data::DataCodec;
use crate::demux::Demux;
use crate::event::{Event, Output, RoomEvent};
use crate::id::{ConnectionId, FlowId, PeerId};
use crate::replica::RelayedPacket;
use crate::room::{RoomKey, TrackKey, TransportRef};
use crate::shard::Transmit;
use crate::sid::IdGenerator;
use crate::timers::Timers;

/// The parts of a shard that its rooms share, lent to them for one step.
pub(crate) struct Context {
    pub(crate) config: ShardConfig,
    pub(crate) certificate: DtlsCert,
    pub(crate) crypto: Arc<CryptoProvider>,
    pub(crate) codec: Box<dyn DataCodec>,
    pub(crate) ids: IdGenerator,
    pub(crate) demux: Demux,
    pub(crate) timers: Timers,
    pub(crate) counters: Counters,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) outputs: VecDeque<Output>,
    /// Transports written to in this turn, to be turned into datagrams at its end.
    pub(crate) dirty: VecDeque<TransportRef>,
    /// Rooms that collected media in this turn, to be forwarded at its end.
    pub(crate) forwarding: VecDeque<RoomKey>,
    /// Rooms that ended in this step, to be dropped after it.
    pub(crate) closed_rooms: Vec<RoomKey>,
    /// The time of the step, the same as its `now`.
    pub(crate) now: Instant,
    /// Packets for other replicas.
    pub(crate) relayed: VecDeque<(PeerId, RelayedPacket)>,
    /// Tracks of other replicas, by what their packets are called on the link.
    pub(crate) flows: HashMap<(PeerId, FlowId), (RoomKey, TrackKey)>,
    last_flow: u32,
    last_epoch: u64,
    /// Memory of datagrams that have left, for those that come.
    pub(crate) buffers: BufferPool,
    pub(crate) clock: WallClock,
}

impl Context {
    pub(crate) fn new(
        config: ShardConfig,
        start: Instant,
        unix_ms: u64,
        seed: u64,
        codec: Box<dyn DataCodec>,
        crypto: Arc<CryptoProvider>,
        certificate: DtlsCert,
    ) -> Self {
        Self {
            config,
            certificate,
            crypto,
            codec,
            ids: IdGenerator::new(seed),
            demux: Demux::default(),
            timers: Timers::default(),
            counters: Counters::default(),
            transmits: VecDeque::new(),
            outputs: VecDeque::new(),
            dirty: VecDeque::new(),
            forwarding: VecDeque::new(),
            closed_rooms: Vec::new(),
            now: start,
            relayed: VecDeque::new(),
            flows: HashMap::new(),
            last_flow: 0,
            last_epoch: 0,
            buffers: BufferPool::default(),
            clock: WallClock {
                start,
                start_unix_us: unix_ms * 1_000,
            },
        }
    }

    /// Unix time of `now` in microseconds.
    pub(crate) fn unix_us(&self, now: Instant) -> u64 {
        self.clock.unix_us(now)
    }

    /// Unix time of `now` in milliseconds.
    pub(crate) fn unix_ms(&self, now: Instant) -> u64 {
        self.unix_us(now) / 1_000
    }

    /// Names one more track on the links to other replicas.
    pub(crate) fn next_flow(&mut self) -> FlowId {
        self.last_flow = self.last_flow % FlowId::MAX + 1;
        FlowId(self.last_flow)
    }

    /// The epoch of a replica's dealings with a peer that begin or end now; greater than all before.
    pub(crate) fn next_epoch(&mut self) -> u64 {
        self.last_epoch = self.unix_us(self.now).max(self.last_epoch + 1);
        self.last_epoch
    }

    /// Sends an event to a signalling connection; nothing if the participant has none at the moment.
    pub(crate) fn send(&mut self, connection: Option<ConnectionId>, event: Event) {
        if let Some(connection) = connection {
            self.outputs
                .push_back(Output::Connection(connection, event));
        }
    }

    /// Tells the rest of the node.
    pub(crate) fn tell(&mut self, event: RoomEvent) {
        self.outputs.push_back(Output::Room(event));
    }
}

/// Ties our clock to wall-clock time.
#[derive(Clone, Copy)]
pub(crate) struct WallClock {
    start: Instant,
    start_unix_us: u64,
}

impl WallClock {
    /// Unix time of `now` in microseconds.
    pub(crate) fn unix_us(&self, now: Instant) -> u64 {
        self.start_unix_us + now.saturating_duration_since(self.start).as_micros() as u64
    }
}

/// Buffers to be used again, so that sending allocates nothing once a shard is warm.
#[derive(Default)]
pub(crate) struct BufferPool {
    free: Vec<Vec<u8>>,
}

/// Buffers kept: as many destinations as one turn serves.
const MAX_POOLED: usize = 1_024;
/// Larger buffers are given back to the system.
const MAX_POOLED_BYTES: usize = 128 * 1024;

impl BufferPool {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes back a buffer that is of no more use.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < MAX_POOLED && buffer.capacity() <= MAX_POOLED_BYTES {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}
