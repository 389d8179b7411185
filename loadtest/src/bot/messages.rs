//! Messages over data channels, stamped like media.

use livekit_protocol as proto;
use prost::Message;
use proto::data_packet::Value;

use super::{Bot, Shared, source_of};
use crate::clock;
use crate::ledger::Verdict;
use crate::plan::Messages;
use crate::stamp::{KEY_FRAME_START, STAMP_BYTES, Stamp, TAIL_BYTES};

/// Place of messages among a bot's sources.
const MESSAGE_TRACK: usize = 0xFF;

impl Bot {
    /// Sends the next message, if its channel is open.
    pub(crate) fn send_message(&mut self, messages: Messages, shared: &mut Shared) {
        let (label, kind) = match messages.reliable {
            true => ("_reliable", proto::data_packet::Kind::Reliable),
            false => ("_lossy", proto::data_packet::Kind::Lossy),
        };
        let Some(mut channel) = self
            .channels
            .get(label)
            .and_then(|id| self.rtc.channel(*id))
        else {
            return;
        };
        let mut payload = vec![0xAB; messages.bytes.max(STAMP_BYTES + TAIL_BYTES)];
        let stamp = Stamp {
            run: shared.tally.run,
            source: source_of(self.number, MESSAGE_TRACK),
            layer: 0,
            flags: KEY_FRAME_START,
            sequence: self.messages_sent,
            sent_ns: clock::unix_ns(),
        };
        stamp.write(&mut payload);
        let packet = proto::DataPacket {
            #[expect(
                deprecated,
                reason = "older clients still read it, and newer ones still write it"
            )]
            kind: kind as i32,
            sequence: if messages.reliable {
                self.messages_sent + 1
            } else {
                0
            },
            value: Some(Value::User(proto::UserPacket {
                payload,
                ..Default::default()
            })),
            ..Default::default()
        };
        let bytes = packet.encode_to_vec();
        match channel.write(true, &bytes) {
            Ok(true) => {
                self.messages_sent += 1;
                shared.tally.counts.sent += 1;
                shared.tally.counts.sent_bytes += bytes.len() as u64;
            }
            _ => shared.tally.counts.send_failures += 1,
        }
    }

    pub(super) fn message(&mut self, data: &[u8], shared: &mut Shared) {
        let Ok(proto::DataPacket {
            value: Some(Value::User(user)),
            ..
        }) = proto::DataPacket::decode(data)
        else {
            return;
        };
        let stamp = Stamp::read(&user.payload);
        match self.enter(stamp, user.payload.len(), clock::unix_ns(), shared) {
            Some(Verdict::Duplicate) => shared.tally.counts.duplicate += 1,
            Some(Verdict::BadSwitch) => shared.tally.counts.bad_switches += 1,
            Some(Verdict::New) | None => {}
        }
    }

    /// Stamps that a source of this bot has given out on a layer; `None` if it has no such source.
    pub(crate) fn stamped(&self, source: u32, layer: u8) -> Option<u32> {
        if source == source_of(self.number, MESSAGE_TRACK) {
            return Some(self.messages_sent);
        }
        let mut of_source = self
            .encodings
            .iter()
            .filter(|encoding| encoding.source == source);
        of_source
            .find(|encoding| encoding.index == layer)
            .map(|encoding| encoding.stamped)
    }

    /// Sources of this bot that others should receive.
    pub(crate) fn sources(&self) -> impl Iterator<Item = u32> {
        let tracks = (0..self.spec.tracks.len()).map(|place| source_of(self.number, place));
        let messages = self
            .spec
            .messages
            .map(|_| source_of(self.number, MESSAGE_TRACK));
        tracks.chain(messages)
    }
}
