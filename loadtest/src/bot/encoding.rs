//! One encoding that a bot sends: makes frames, seals them, and answers retransmission requests.

use tradewind_srtp::{SealError, Sealer};

use super::terms::Terms;
use crate::payload::{Picture, write_audio, write_video};
use crate::plan::Layer;
use crate::stamp::{KEY_FRAME_START, Stamp};
use crate::wire::rtp::NewHeader;

/// Packets remembered for retransmission: more than a second of most encodings.
const HISTORY: usize = 512;
/// A multiple of [`HISTORY`], so that every number has its place in the ring from the start.
const FIRST_SEQUENCE: u64 = 2 * HISTORY as u64;
/// -30 dBov with the voice bit (RFC 6464): somebody speaks.
const AUDIO_LEVEL: u8 = 0x80 | 30;

/// SSRC of an encoding and of its retransmissions, once negotiated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ssrcs {
    pub(crate) media: u32,
    pub(crate) repair: Option<u32>,
}

/// What is needed to make a packet again.
#[derive(Clone, Copy)]
struct Sent {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    picture: Picture,
    stamp: Stamp,
}

pub(crate) struct Encoding {
    pub(crate) source: u32,
    pub(crate) index: u8,
    pub(crate) layer: Layer,
    pub(crate) video: bool,
    pub(crate) ssrcs: Ssrcs,
    mid: String,
    /// Number of the next packet.
    sequence: u64,
    repair_sequence: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    /// Stamps given out.
    pub(crate) stamped: u32,
    pub(crate) key_frame_wanted: bool,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) last_timestamp: u32,
    history: Vec<Sent>,
}

impl Encoding {
    pub(crate) fn new(
        source: u32,
        index: u8,
        layer: Layer,
        video: bool,
        ssrcs: Ssrcs,
        mid: String,
    ) -> Self {
        Self {
            source,
            index,
            layer,
            video,
            ssrcs,
            mid,
            sequence: FIRST_SEQUENCE,
            repair_sequence: 1,
            timestamp: source.wrapping_mul(3_000),
            picture: source as u16 & 0x7FFF,
            tl0: 0,
            stamped: 0,
            key_frame_wanted: true,
            packets: 0,
            octets: 0,
            last_timestamp: 0,
            history: Vec::new(),
        }
    }

    /// Appends the sealed packets of the next frame, all of one size, and gives back that size.
    pub(crate) fn write_frame(
        &mut self,
        to: &mut Vec<u8>,
        cx: &mut Sending<'_>,
    ) -> Result<usize, SealError> {
        let ticks = if self.video { 90_000.0 } else { 48_000.0 };
        let step = self.layer.interval.as_secs_f64() * ticks;
        self.timestamp = self.timestamp.wrapping_add(step.round() as u32);
        self.last_timestamp = self.timestamp;
        self.picture = (self.picture + 1) & 0x7FFF;
        self.tl0 = self.tl0.wrapping_add(1);
        let key = std::mem::take(&mut self.key_frame_wanted);
        let mut size = 0;
        for number in 0..self.layer.packets {
            let first = number == 0;
            let last = number + 1 == self.layer.packets;
            let picture = Picture {
                id: self.picture,
                tl0: self.tl0,
                key,
                first,
                width: self.layer.width,
                height: self.layer.height,
            };
            let stamp = Stamp {
                run: cx.run,
                source: self.source,
                layer: self.index,
                flags: if key && first { KEY_FRAME_START } else { 0 },
                sequence: self.stamped,
                sent_ns: cx.now_ns,
            };
            let sent = Sent {
                sequence: self.sequence,
                timestamp: self.timestamp,
                marker: last && self.video,
                picture,
                stamp,
            };
            let start = to.len();
            self.write(to, cx, &sent, false)?;
            size = to.len() - start;
            self.remember(sent);
            self.sequence += 1;
            self.stamped = self.stamped.wrapping_add(1);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(self.layer.payload_bytes as u32);
        }
        Ok(size)
    }

    /// Appends a retransmission (RFC 4588) of the packet with this number, if it is still known.
    pub(crate) fn write_again(
        &mut self,
        sequence: u16,
        to: &mut Vec<u8>,
        cx: &mut Sending<'_>,
    ) -> Result<bool, SealError> {
        let sent = self
            .history
            .iter()
            .find(|sent| sent.sequence as u16 == sequence)
            .copied();
        let (Some(sent), Some(_)) = (sent, self.ssrcs.repair) else {
            return Ok(false);
        };
        self.write(to, cx, &sent, true)?;
        self.repair_sequence += 1;
        Ok(true)
    }

    fn remember(&mut self, sent: Sent) {
        if !self.video {
            return;
        }
        if self.history.len() < HISTORY {
            self.history.push(sent);
        } else {
            self.history[sent.sequence as usize % HISTORY] = sent;
        }
    }

    fn write(
        &self,
        to: &mut Vec<u8>,
        cx: &mut Sending<'_>,
        sent: &Sent,
        again: bool,
    ) -> Result<(), SealError> {
        let terms = cx.terms;
        let number = cx.transport_sequence.to_be_bytes();
        *cx.transport_sequence = cx.transport_sequence.wrapping_add(1);
        let mut extensions: [(u8, &[u8]); 4] = [(0, &[]); 4];
        let mut count = 0;
        let mut add = |id: Option<u8>, value| {
            if let Some(id) = id {
                extensions[count] = (id, value);
                count += 1;
            }
        };
        add(terms.transport_cc, &number);
        add(terms.mid, self.mid.as_bytes());
        if let Some(rid) = self.layer.rid {
            add(
                if again { terms.repaired_rid } else { terms.rid },
                rid.as_bytes(),
            );
        }
        if !self.video {
            add(terms.audio_level, &[AUDIO_LEVEL]);
        }
        let (payload_type, ssrc, index) = match (again, self.ssrcs.repair) {
            (true, Some(repair)) => (terms.repair, repair, self.repair_sequence),
            _ => (
                if self.video { terms.video } else { terms.audio },
                self.ssrcs.media,
                sent.sequence,
            ),
        };
        let header = NewHeader {
            payload_type,
            marker: sent.marker,
            sequence: index as u16,
            timestamp: sent.timestamp,
            ssrc,
            extensions: &extensions[..count],
        };
        let start = to.len();
        header.append(to);
        if again {
            to.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
        }
        let payload = to.len();
        to.resize(payload + self.layer.payload_bytes, 0xAB);
        if self.video {
            write_video(&mut to[payload..], &sent.picture, &sent.stamp);
        } else {
            write_audio(&mut to[payload..], &sent.stamp);
        }
        cx.sealer.seal_rtp(to, start, index)
    }
}

/// What a bot lends to write packets.
pub(crate) struct Sending<'a> {
    pub(crate) run: u32,
    pub(crate) now_ns: u64,
    pub(crate) terms: &'a Terms,
    pub(crate) sealer: &'a Sealer,
    pub(crate) transport_sequence: &'a mut u16,
}
