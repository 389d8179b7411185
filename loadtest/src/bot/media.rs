//! Media of one bot: frames out, packets in.

use std::net::SocketAddr;
use std::time::Instant;

use tradewind_srtp::OpenError;

use super::encoding::Sending;
use super::stream::Stream;
use super::{Bot, ReceiveBuffers, Shared, bot_of};
use crate::clock;
use crate::ledger::Verdict;
use crate::payload::{read_audio, read_video};
use crate::stamp::{KEY_FRAME_START, Stamp};
use crate::wire::is_rtcp;
use crate::wire::rtp::Header;

impl Bot {
    /// Sends the next frame of an encoding as one burst.
    pub(crate) fn send_frame(&mut self, encoding: usize, shared: &mut Shared) {
        let (Some(sealer), Some(remote)) = (&self.sealer, self.remote) else {
            return;
        };
        let Some(encoding) = self.encodings.get_mut(encoding) else {
            return;
        };
        shared.scratch.clear();
        let mut sending = Sending {
            run: shared.tally.run,
            now_ns: clock::unix_ns(),
            terms: &self.terms,
            sealer,
            transport_sequence: &mut self.transport_sequence,
        };
        let Ok(size) = encoding.write_frame(&mut shared.scratch, &mut sending) else {
            shared.tally.counts.send_failures += 1;
            return;
        };
        match self.socket.send(remote, &shared.scratch, size) {
            Ok(()) => {
                let counts = &mut shared.tally.counts;
                counts.sent += u64::from(encoding.layer.packets);
                counts.sent_bytes += shared.scratch.len() as u64;
            }
            Err(_) => shared.tally.counts.send_failures += 1,
        }
    }

    /// Answers a NACK.
    pub(super) fn send_again(&mut self, ssrc: u32, sequences: &[u16], shared: &mut Shared) {
        let (Some(sealer), Some(remote)) = (&self.sealer, self.remote) else {
            return;
        };
        let Some(encoding) = self
            .encodings
            .iter_mut()
            .find(|encoding| encoding.ssrcs.media == ssrc)
        else {
            return;
        };
        for sequence in sequences {
            shared.scratch.clear();
            let mut sending = Sending {
                run: shared.tally.run,
                now_ns: clock::unix_ns(),
                terms: &self.terms,
                sealer,
                transport_sequence: &mut self.transport_sequence,
            };
            let written = encoding.write_again(*sequence, &mut shared.scratch, &mut sending);
            if written == Ok(true)
                && self
                    .socket
                    .send(remote, &shared.scratch, shared.scratch.len())
                    .is_ok()
            {
                shared.tally.counts.answered_retransmissions += 1;
            }
        }
    }

    /// Receives what its socket has, up to one batch. True if there may be more.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        buffers: &mut ReceiveBuffers,
        shared: &mut Shared,
    ) -> bool {
        let socket = self.socket.clone();
        let mut read_ns = None;
        socket.receive(buffers, |from, at_ns, datagram| {
            // Kernels that tell no time of arrival are read late, which counts against the server.
            let at_ns = at_ns.unwrap_or_else(|| *read_ns.get_or_insert_with(clock::unix_ns));
            match &mut self.link {
                Some(link) => link.carry(now, from, at_ns, datagram),
                None => self.take(now, from, at_ns, datagram, shared),
            }
        })
    }

    /// Takes what has come over an emulated link.
    pub(crate) fn receive_delayed(&mut self, now: Instant, shared: &mut Shared) {
        while let Some(mut arrived) = self.link.as_mut().and_then(|link| link.arrive(now)) {
            self.take(
                now,
                arrived.from,
                arrived.at_ns,
                &mut arrived.datagram,
                shared,
            );
        }
    }

    /// Which protocol a datagram is, by its first byte (RFC 7983).
    fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        at_ns: u64,
        datagram: &mut [u8],
        shared: &mut Shared,
    ) {
        match datagram.first() {
            Some(0..=3 | 20..=63) => {
                self.take_rtc(now, from, datagram);
                self.drain(now, shared);
            }
            Some(128..=191) if is_rtcp(datagram) => self.take_report(at_ns, datagram, shared),
            Some(128..=191) => self.take_media(at_ns, datagram, shared),
            _ => {}
        }
    }

    fn take_media(&mut self, at_ns: u64, datagram: &mut [u8], shared: &mut Shared) {
        let Some(opener) = &mut self.opener else {
            // Media may overtake the end of the handshake.
            return;
        };
        let counts = &mut shared.tally.counts;
        let opened = match opener.open_rtp(datagram) {
            Ok(opened) => opened,
            Err(OpenError::Replayed) => {
                counts.duplicate += 1;
                return;
            }
            Err(_) => {
                counts.undecipherable += 1;
                return;
            }
        };
        let packet = &datagram[..opened.len];
        let Some(header) = Header::read(packet) else {
            counts.undecipherable += 1;
            return;
        };
        let number = self
            .terms
            .transport_cc
            .and_then(|id| header.extension16(packet, id));
        if let Some(number) = number {
            self.arrivals.add(number, at_ns);
        }
        let payload = header.payload(packet);
        if header.payload_type == self.terms.repair {
            self.take_repair(at_ns, payload, shared);
            return;
        }
        let video = header.payload_type == self.terms.video;
        let stream = self
            .streams
            .entry(opened.ssrc)
            .or_insert_with(|| Stream::new(video, opened.index, at_ns));
        stream.enter(opened.index, header.timestamp, at_ns);
        if payload.is_empty() {
            counts.probes += 1;
            return;
        }
        let stamp = if video {
            read_video(payload)
        } else {
            read_audio(payload)
        };
        if stamp.is_some_and(|stamp| stamp.flags & KEY_FRAME_START != 0) {
            stream.key_frame_came();
        }
        match self.enter(stamp, payload.len(), at_ns, shared) {
            Some(Verdict::New) | None => {}
            Some(Verdict::Duplicate) => shared.tally.counts.duplicate += 1,
            Some(Verdict::BadSwitch) => shared.tally.counts.bad_switches += 1,
        }
    }

    /// A retransmission: the original number, then the original payload (RFC 4588).
    fn take_repair(&mut self, at_ns: u64, payload: &[u8], shared: &mut Shared) {
        let Some((original, payload)) = payload
            .split_first_chunk::<2>()
            .filter(|(_, payload)| !payload.is_empty())
        else {
            shared.tally.counts.probes += 1;
            return;
        };
        let original = u16::from_be_bytes(*original);
        let stamp = read_video(payload);
        match self.enter(stamp, payload.len(), at_ns, shared) {
            Some(Verdict::New) => {
                shared.tally.counts.repaired += 1;
                for stream in self.streams.values_mut().filter(|stream| stream.video) {
                    if stream.repaired(original) {
                        break;
                    }
                }
            }
            // Servers probe a path with packets it has carried before.
            Some(_) => shared.tally.counts.probes += 1,
            None => {}
        }
    }

    /// Enters a payload into the account of its source; `None` if it has none.
    pub(super) fn enter(
        &mut self,
        stamp: Option<Stamp>,
        bytes: usize,
        at_ns: u64,
        shared: &mut Shared,
    ) -> Option<Verdict> {
        let sender = stamp.map(|stamp| bot_of(stamp.source));
        let room = sender.and_then(|sender| shared.rooms.get(sender as usize));
        let expected = sender != Some(self.number) && room == Some(&self.spec.room);
        let Some(stamp) = stamp.filter(|stamp| stamp.run == shared.tally.run && expected) else {
            shared.tally.counts.wrong += 1;
            return None;
        };
        let verdict = self.accounts.entry(stamp.source).or_default().enter(&stamp);
        if verdict == Verdict::New {
            shared.tally.delivered(
                bytes,
                at_ns.saturating_sub(stamp.sent_ns),
                self.link.is_none(),
            );
        }
        Some(verdict)
    }
}
