//! RTCP of one bot, as clients send it: transport-wide feedback, NACK, PLI, sender and receiver reports.

use super::{Bot, Shared};
use crate::clock;
use crate::wire::rtcp::{self, Told};

/// Bytes after which a compound packet is sent and the next one begun.
const COMPOUND_BYTES: usize = 1_000;

impl Bot {
    /// Whether there is something to tell the server soon.
    pub(crate) fn has_feedback(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Tells which packets came, asks for those that did not, and for key frames.
    pub(crate) fn send_feedback(&mut self, shared: &mut Shared) {
        let now_ns = clock::unix_ns();
        let sender = self.sender_ssrc();
        let media = self.streams.keys().next().copied().unwrap_or_default();
        let mut packet = Vec::with_capacity(256);
        self.arrivals
            .drain(|content| rtcp::append_transport_cc(&mut packet, sender, media, content));
        for (ssrc, stream) in &mut self.streams {
            let lost = if stream.video {
                stream.take_missing(now_ns)
            } else {
                Vec::new()
            };
            if !lost.is_empty() {
                shared.tally.counts.negative_acknowledgements += lost.len() as u64;
                rtcp::append_nack(&mut packet, sender, *ssrc, &lost);
            }
            if stream.asks_key_frame(now_ns) {
                shared.tally.counts.key_frames_requested += 1;
                rtcp::append_key_frame_request(&mut packet, sender, *ssrc);
            }
        }
        self.send_report(packet, shared);
    }

    /// Sends sender reports of what it sends and receiver reports of what it receives.
    pub(crate) fn send_reports(&mut self, shared: &mut Shared) {
        let now_ns = clock::unix_ns();
        let sender = self.sender_ssrc();
        let mut packets = Vec::new();
        let mut packet = Vec::with_capacity(256);
        for encoding in self
            .encodings
            .iter()
            .filter(|encoding| encoding.packets > 0)
        {
            let (ssrc, timestamp) = (encoding.ssrcs.media, encoding.last_timestamp);
            rtcp::append_sender_report(
                &mut packet,
                ssrc,
                now_ns,
                timestamp,
                encoding.packets,
                encoding.octets,
            );
            if packet.len() > COMPOUND_BYTES {
                packets.push(std::mem::take(&mut packet));
            }
        }
        let blocks: Vec<_> = self
            .streams
            .iter_mut()
            .map(|(ssrc, stream)| stream.block(*ssrc, now_ns))
            .collect();
        for blocks in blocks.chunks(31) {
            rtcp::append_receiver_reports(&mut packet, sender, blocks);
            if packet.len() > COMPOUND_BYTES / 2 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        packets.push(packet);
        for packet in packets {
            self.send_report(packet, shared);
        }
    }

    /// Takes RTCP from the server.
    pub(super) fn take_report(&mut self, at_ns: u64, datagram: &mut [u8], shared: &mut Shared) {
        let Some(opener) = &mut self.opener else {
            return;
        };
        let Ok(compound) = opener.open_rtcp(datagram) else {
            shared.tally.counts.undecipherable += 1;
            return;
        };
        let mut losses = Vec::new();
        rtcp::read(compound, |told| match told {
            Told::SenderReport { ssrc, ntp_middle } => {
                if let Some(stream) = self.streams.get_mut(&ssrc) {
                    stream.sender_report(ntp_middle, at_ns);
                }
            }
            Told::KeyFrameWanted { ssrc } => {
                shared.tally.counts.key_frames_requested_by_server += 1;
                for encoding in self
                    .encodings
                    .iter_mut()
                    .filter(|encoding| encoding.ssrcs.media == ssrc)
                {
                    encoding.key_frame_wanted = true;
                }
            }
            Told::Lost { ssrc, sequences } => losses.push((ssrc, sequences)),
        });
        for (ssrc, sequences) in losses {
            self.send_again(ssrc, &sequences, shared);
        }
    }

    fn send_report(&mut self, mut packet: Vec<u8>, shared: &mut Shared) {
        let (Some(sealer), Some(remote)) = (&mut self.sealer, self.remote) else {
            return;
        };
        if packet.is_empty() || sealer.seal_rtcp(&mut packet, 0).is_err() {
            return;
        }
        if self.socket.send(remote, &packet, packet.len()).is_err() {
            shared.tally.counts.send_failures += 1;
        }
    }

    /// What bots that send nothing call themselves in reports: any number that is no sender's.
    fn sender_ssrc(&self) -> u32 {
        self.encodings
            .first()
            .map_or(1, |encoding| encoding.ssrcs.media)
    }
}
