//! Media on its way out of one transport: written, sealed and paced here, beside str0m.
//!
//! str0m keeps ICE, DTLS, data channels, session descriptions and everything incoming. The media SSRCs and their
//! resend SSRCs belong to this module alone: their packet indices, their reports, and the transport-wide sequence.
//! str0m gets to see them only while it writes a description, and never sends on them.

mod batch;
mod feedback;
mod header;
mod media;
mod queue;
mod ring;
mod rtcp;
mod send;
mod stream;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::Event;
use str0m::media::Media;
use tradewind_srtp::{KeyError, KeyingMaterial, Opener, Sealer};

pub(crate) use media::{HeaderValues, Media as OutgoingMedia, OutgoingPacket};
pub(crate) use rtcp::is_rtcp;
pub(crate) use stream::PayloadType;

use crate::congestion::Congestion;
use crate::context::{Context, WallClock};
use crate::counters::DropReason;
use crate::id::Mid;
use crate::info::TrackKind;
use crate::shard::{Protocol, Transmit};
use batch::Batch;
use header::ExtensionIds;
use queue::Queue;
use stream::{Stream, write_goodbye};

const STATS_EVERY: Duration = Duration::from_secs(5);
/// Bytes of retransmission that are always allowed: a burst of loss in a key frame.
const RESEND_BURST: u64 = 96 * 1024;
/// What each byte sent adds to that allowance: a path that loses more than this share is better served with less video.
const RESEND_SHARE: u64 = 4;

/// Where datagrams leave and go: the pair of candidates that ICE chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) protocol: Protocol,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// A section that carries media to the client, as negotiated.
pub(crate) struct Section {
    mid: Mid,
    kind: TrackKind,
    ssrc: u32,
    resend_ssrc: Option<u32>,
    ids: ExtensionIds,
    cname: String,
}

impl Section {
    pub(crate) fn new(media: &Media, kind: TrackKind, ssrc: u32, resend_ssrc: Option<u32>) -> Self {
        Self {
            mid: media.mid(),
            kind,
            ssrc,
            resend_ssrc,
            ids: ExtensionIds::of(media),
            cname: media.cname().to_owned(),
        }
    }
}

/// The egress of one transport.
pub(crate) struct Egress {
    keys: Option<Keys>,
    streams: Vec<Stream>,
    /// Of each stream; together, since each packet looks for its own among them.
    mids: Vec<Mid>,
    /// When the first of the streams has a report to send.
    report_at: Option<Instant>,
    payload_types: Vec<PayloadType>,
    congestion: Congestion,
    queue: Queue,
    batch: Batch,
    /// Bytes that may still be sent again.
    resend_credit: u64,
    told_estimate: u64,
    stats_at: Option<Instant>,
    /// For opening feedback.
    scratch: Vec<u8>,
}

struct Keys {
    sealer: Sealer,
    opener: Opener,
}

impl Egress {
    /// `bandwidth`: bits per second assumed before anything is measured.
    pub(crate) fn new(now: Instant, bandwidth: u64) -> Self {
        Self {
            keys: None,
            streams: Vec::new(),
            mids: Vec::new(),
            report_at: None,
            payload_types: Vec::new(),
            congestion: Congestion::new(now, bandwidth),
            queue: Queue::default(),
            batch: Batch::default(),
            resend_credit: RESEND_BURST,
            told_estimate: bandwidth,
            stats_at: None,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Takes the keys of the handshake; nothing leaves before.
    ///
    /// # Errors
    /// The cryptography library refuses them.
    pub(crate) fn set_keys(&mut self, material: &KeyingMaterial) -> Result<(), KeyError> {
        self.keys = Some(Keys {
            sealer: Sealer::new(material.profile, &material.local)?,
            opener: Opener::new(material.profile, &material.remote)?,
        });
        Ok(())
    }

    /// Mid, SSRC and resend SSRC of all streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (Mid, u32, Option<u32>)> {
        self.streams
            .iter()
            .map(|stream| (stream.mid, stream.ssrc, stream.resend_ssrc))
    }

    /// Whether an SSRC is in use here.
    pub(crate) fn owns(&self, ssrc: u32) -> bool {
        self.streams()
            .any(|(_, main, resend)| main == ssrc || resend == Some(ssrc))
    }

    /// Takes over what was negotiated. A section that keeps its SSRC keeps its counters.
    pub(crate) fn adopt(&mut self, sections: Vec<Section>, payload_types: Vec<PayloadType>) {
        self.payload_types = payload_types;
        for section in sections {
            let known = self.streams.iter_mut().find(|s| s.mid == section.mid);
            match known {
                Some(stream) if stream.ssrc == section.ssrc => {
                    stream.ids = section.ids;
                    stream.cname = section.cname;
                    stream.payload_type = None;
                    // The receiver may have learnt its SSRCs anew.
                    stream.acknowledged = false;
                    stream.resend_acknowledged = false;
                }
                Some(stream) => *stream = Stream::new(section),
                None => self.streams.push(Stream::new(section)),
            }
        }
        self.index();
    }

    /// Forgets a section that is gone.
    pub(crate) fn remove(&mut self, mid: Mid) {
        self.streams.retain(|stream| stream.mid != mid);
        self.index();
    }

    fn index(&mut self) {
        self.mids = self.streams.iter().map(|stream| stream.mid).collect();
        self.report_at = self.streams.iter().filter_map(Stream::report_at).min();
    }

    /// Gives a section fresh SSRCs, for another track is about to use it; says goodbye for the old one.
    pub(crate) fn renew(&mut self, cx: &mut Context, mid: Mid, ssrc: u32, resend_ssrc: u32) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.mid == mid) else {
            return;
        };
        let old = (!stream.is_idle()).then_some(stream.ssrc);
        *stream = stream.renewed(ssrc, stream.resend_ssrc.map(|_| resend_ssrc));
        if let (Some(old), Some(keys)) = (old, &mut self.keys) {
            let buffer = self.batch.begin(&mut cx.buffers);
            let start = buffer.len();
            write_goodbye(old, buffer);
            if keys.sealer.seal_rtcp(buffer, start).is_err() {
                buffer.truncate(start);
            }
            self.batch.end(&mut cx.buffers, start);
        }
    }

    /// Writes a packet, or lets it wait if the path has no room. Audio never waits.
    pub(crate) fn write(
        &mut self,
        cx: &mut Context,
        now: Instant,
        mid: Mid,
        packet: OutgoingPacket,
    ) {
        let Some(at) = self.mids.iter().position(|known| *known == mid) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(at) else {
            return;
        };
        if self.keys.is_none() || !stream.claim(packet.sequence) {
            cx.counters.drop_one(DropReason::Repeated);
            return;
        }
        let (ssrc, keep) = (stream.ssrc, packet.keep && stream.resend_ssrc.is_some());
        let at_once = stream.kind == TrackKind::Audio
            || (self.queue.is_empty() && self.congestion.admits(now));
        if at_once {
            self.send_media(cx, now, at, &packet);
        } else if !self.queue.push(now, ssrc, packet.clone()) {
            cx.counters.drop_one(DropReason::PacingQueueFull);
        }
        if keep && let Some(stream) = self.streams.get_mut(at) {
            stream.ring.keep(now, packet);
        }
    }

    /// Bits per second that could be made use of.
    pub(crate) fn set_demand(&mut self, now: Instant, bitrate: u64) {
        self.congestion.set_demand(now, bitrate);
    }

    /// Whether [`Self::flush`] has something to send.
    pub(crate) fn is_pending(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Hands over what was sealed. Without a path, which ICE finds before there are keys, it is lost.
    pub(crate) fn flush(&mut self, cx: &mut Context, path: Option<Path>) {
        for run in self.batch.drain() {
            let Some(path) = path else { continue };
            cx.counters.datagrams_out += run.datagrams() as u64;
            cx.counters.bytes_out += run.contents.len() as u64;
            cx.transmits.push_back(Transmit {
                protocol: path.protocol,
                source: path.source,
                destination: path.destination,
                segment_size: (run.contents.len() > run.segment).then_some(run.segment),
                contents: run.contents,
            });
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.keys.as_ref()?;
        let queue = (!self.queue.is_empty()).then(|| self.congestion.admits_at());
        [
            self.report_at,
            queue,
            self.congestion.poll_timeout(),
            self.stats_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(
        &mut self,
        cx: &mut Context,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        if self.keys.is_none() {
            return;
        }
        self.congestion.handle_timeout(now);
        for _ in 0..self.queue.expire(now) {
            cx.counters.drop_one(DropReason::PacingQueueFull);
        }
        self.drain_queue(cx, now);
        self.send_probes(cx, now);
        self.send_reports(cx, now);
        self.tell_estimate(events);
        if self.stats_at.is_some_and(|at| at <= now) {
            let stats: Vec<_> = self.streams.iter().filter_map(|s| s.stats(now)).collect();
            self.stats_at = (!stats.is_empty()).then_some(now + STATS_EVERY);
            events.extend(stats.into_iter().map(Event::MediaEgressStats));
            for stream in &mut self.streams {
                stream.ring.forget_old(now);
            }
        }
    }

    fn send_reports(&mut self, cx: &mut Context, now: Instant) {
        if self.report_at.is_none_or(|at| at > now) {
            return;
        }
        let clock: WallClock = cx.clock;
        for stream in &mut self.streams {
            if stream.report_at().is_none_or(|at| at > now) {
                continue;
            }
            let Some(keys) = &mut self.keys else { return };
            let buffer = self.batch.begin(&mut cx.buffers);
            let start = buffer.len();
            if !stream.write_report(now, &clock, buffer)
                || keys.sealer.seal_rtcp(buffer, start).is_err()
            {
                buffer.truncate(start);
            }
            self.batch.end(&mut cx.buffers, start);
            self.stats_at.get_or_insert(now + STATS_EVERY);
        }
        self.report_at = self.streams.iter().filter_map(Stream::report_at).min();
    }
}
