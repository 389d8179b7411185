//! One link's media, both directions, as a state machine: packets in, datagrams out, and the other way round.
//!
//! The owner passes time and the hop's round trip in, sends what [`Hop::poll_datagram`] gives while QUIC has room, and calls
//! again at [`Hop::next_wakeup`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::class::{MediaClass, SendClass};
use crate::frame::{Copy, Datagram, Frame, FrameError, HopHeader, MAX_OVERHEAD, MediaHeader};
use crate::id::{BitsPerSecond, Epoch, FlowId};
use crate::repair::{Arrival, Kept, LossReceiver, LossSender};
use crate::scheduler::Scheduler;

/// How often the sender is told what arrived.
const FEEDBACK_EVERY: Duration = Duration::from_millis(200);
/// Bytes that QUIC (short header, connection id, packet number, frame type and length, tag) and UDP over IPv4 add.
const PACKET_OVERHEAD: usize = 60;

/// A media packet from the other node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPacket {
    /// The sender's flow.
    pub flow: FlowId,
    /// What it is.
    pub class: MediaClass,
    /// Of the owner of its room.
    pub epoch: Epoch,
    /// Not the first copy: the first was lost on the hop.
    pub repaired: bool,
    /// The RTP packet.
    pub rtp: Bytes,
}

/// What a datagram brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A media packet to pass on.
    Media(MediaPacket),
    /// A message for the link's owner.
    Message(Frame),
    /// Nothing to pass on.
    Nothing,
}

/// Counts of one link since it came up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HopStats {
    /// Packets that were passed on.
    pub received: u64,
    /// Of these, the ones whose first copy was lost.
    pub repaired: u64,
    /// Copies that were not needed.
    pub repeated: u64,
    /// Packets that were asked for and sent again.
    pub retransmitted: u64,
    /// Packets that were sent twice unasked.
    pub duplicated: u64,
    /// Packets that waited too long for the link, or found no room to wait.
    pub dropped: u64,
}

/// Both directions of a link's media.
#[derive(Debug)]
pub struct Hop {
    round_trip: Duration,
    scheduler: Scheduler<Outgoing>,
    next_sequence: [u16; MediaClass::ALL.len()],
    sent: LossSender,
    received: LossReceiver,
    messages: VecDeque<Bytes>,
    feedback_at: Instant,
    stats: HopStats,
}

#[derive(Debug)]
enum Outgoing {
    New {
        flow: FlowId,
        class: MediaClass,
        epoch: Epoch,
        rtp: Bytes,
    },
    Again(Kept),
}

impl Hop {
    /// A link that has just come up.
    pub fn new(now: Instant, round_trip: Duration, rate: BitsPerSecond) -> Self {
        Self {
            round_trip,
            scheduler: Scheduler::new(now, rate),
            next_sequence: [0; MediaClass::ALL.len()],
            sent: LossSender::new(),
            received: LossReceiver::new(),
            messages: VecDeque::new(),
            feedback_at: now + FEEDBACK_EVERY,
            stats: HopStats::default(),
        }
    }

    /// What congestion control allows from now on.
    pub fn set_rate(&mut self, now: Instant, rate: BitsPerSecond) {
        self.scheduler.set_rate(now, rate);
    }

    /// What QUIC measured last.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// Queues an RTP packet for the other node.
    pub fn send(
        &mut self,
        now: Instant,
        class: MediaClass,
        flow: FlowId,
        epoch: Epoch,
        rtp: Bytes,
    ) {
        let bytes = rtp.len() + PACKET_OVERHEAD + MAX_OVERHEAD;
        self.scheduler.push(
            now,
            SendClass::Media(class),
            bytes,
            Outgoing::New {
                flow,
                class,
                epoch,
                rtp,
            },
        );
    }

    /// Pays for bytes that left on a stream of the same link.
    pub fn charge(&mut self, now: Instant, bytes: usize) {
        self.scheduler.charge(now, bytes);
    }

    /// The next datagram that may leave now.
    pub fn poll_datagram(&mut self, now: Instant) -> Option<Bytes> {
        self.collect(now);
        if let Some(message) = self.messages.pop_front() {
            return Some(message);
        }
        let (_, outgoing) = self.scheduler.pop(now)?;
        Some(match outgoing {
            Outgoing::Again(packet) => packet.header.encode(&packet.rtp),
            Outgoing::New {
                flow,
                class,
                epoch,
                rtp,
            } => {
                // Numbered as it leaves: what the scheduler dropped leaves no gap.
                let next = &mut self.next_sequence[usize::from(class.code())];
                let sequence = *next;
                *next = next.wrapping_add(1);
                let header = MediaHeader {
                    flow,
                    hop: HopHeader {
                        class,
                        copy: Copy::First,
                        epoch,
                        sequence,
                    },
                };
                let datagram = header.encode(&rtp);
                // What is kept shares the bytes that were just written.
                let rtp = datagram.slice(datagram.len() - rtp.len()..);
                self.sent.sent(now, Kept { header, rtp });
                datagram
            }
        })
    }

    /// When [`Self::poll_datagram`] has to be called again, at the latest.
    pub fn next_wakeup(&self, now: Instant) -> Instant {
        if !self.messages.is_empty() {
            return now;
        }
        let others = [
            self.scheduler.next_wakeup(now),
            self.sent.next_wakeup(),
            self.received.next_wakeup(),
        ];
        others
            .into_iter()
            .flatten()
            .fold(self.feedback_at, Instant::min)
    }

    /// A datagram arrived.
    ///
    /// # Errors
    /// When it is malformed; the peer is broken then.
    pub fn on_datagram(&mut self, now: Instant, datagram: Bytes) -> Result<Incoming, FrameError> {
        Ok(match Datagram::decode(datagram)? {
            Datagram::Media(header, rtp) => self.on_media(now, &header, rtp),
            Datagram::Message(Frame::Nack { class, entries }) => {
                for mut packet in self.sent.asked_again(now, class, &entries) {
                    packet.header.hop.copy = Copy::Retransmission;
                    self.stats.retransmitted += 1;
                    self.push_again(now, SendClass::Retransmission, packet);
                }
                Incoming::Nothing
            }
            Datagram::Message(Frame::Feedback { lanes }) => {
                self.sent.on_feedback(now, self.round_trip, &lanes);
                Incoming::Nothing
            }
            Datagram::Message(frame) => Incoming::Message(frame),
            Datagram::Unknown => Incoming::Nothing,
        })
    }

    /// The share of packets that the other node lately missed.
    pub fn loss(&self) -> f64 {
        self.sent.loss()
    }

    /// Counts since the link came up.
    pub fn stats(&self) -> HopStats {
        let queues = SendClass::ALL.map(|class| self.scheduler.stats(class));
        let dropped = queues.iter().map(|queue| queue.late + queue.overflow).sum();
        HopStats {
            dropped,
            ..self.stats
        }
    }

    fn on_media(&mut self, now: Instant, header: &MediaHeader, rtp: Bytes) -> Incoming {
        let arrival = self.received.on_packet(now, self.round_trip, &header.hop);
        if arrival == Arrival::Again {
            self.stats.repeated += 1;
            return Incoming::Nothing;
        }
        let repaired = arrival == Arrival::Repaired;
        self.stats.received += 1;
        self.stats.repaired += u64::from(repaired);
        let HopHeader { class, epoch, .. } = header.hop;
        Incoming::Media(MediaPacket {
            flow: header.flow,
            class,
            epoch,
            repaired,
            rtp,
        })
    }

    /// Everything that is due by now goes into the queues.
    fn collect(&mut self, now: Instant) {
        while let Some(mut packet) = self.sent.due_copy(now) {
            packet.header.hop.copy = Copy::Duplicate;
            self.stats.duplicated += 1;
            self.push_again(now, SendClass::Media(MediaClass::Audio), packet);
        }
        while let Some((class, entries)) = self.received.poll_nack(now, self.round_trip) {
            self.messages
                .push_back(Datagram::encode_message(&Frame::Nack { class, entries }));
        }
        if now >= self.feedback_at {
            self.feedback_at = now + FEEDBACK_EVERY;
            if let Some(lanes) = self.received.take_counts() {
                self.messages
                    .push_back(Datagram::encode_message(&Frame::Feedback { lanes }));
            }
        }
    }

    fn push_again(&mut self, now: Instant, class: SendClass, packet: Kept) {
        let bytes = packet.rtp.len() + PACKET_OVERHEAD + MAX_OVERHEAD;
        self.scheduler
            .push(now, class, bytes, Outgoing::Again(packet));
    }
}

#[cfg(test)]
mod tests;
