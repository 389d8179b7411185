//! Data messages: stamped by the server, opaque otherwise.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::channel::ChannelData;

use super::{ParticipantKey, Room, TransportRef};
use crate::command::{SendData, Target};
use crate::context::Context;
use crate::counters::DropReason;
use crate::data::DataSender;
use crate::id::{Identity, ParticipantSid};
use crate::replica::RelayedData;
use crate::transport::ChannelLabel;

/// How long reliable messages are kept for those who resume; a resume is over long before.
const KEEP_FOR: Duration = Duration::from_secs(10);
/// Bytes kept per room for those who resume.
const KEEP_BYTES: usize = 4 * 1024 * 1024;
/// Nonces of server API messages remembered, to drop repeats.
const KEEP_NONCES: usize = 256;

/// Reliable messages of the last seconds, for subscribers whose transport was away.
#[derive(Default)]
pub(super) struct DataLog {
    messages: VecDeque<Logged>,
    bytes: usize,
    nonces: VecDeque<Vec<u8>>,
}

struct Logged {
    at: Instant,
    from: ParticipantSid,
    sequence: u32,
    message: Arc<[u8]>,
    destinations: Vec<Identity>,
}

impl DataLog {
    fn push(&mut self, logged: Logged) {
        let now = logged.at;
        self.bytes += logged.message.len();
        self.messages.push_back(logged);
        while self.bytes > KEEP_BYTES
            || self
                .messages
                .front()
                .is_some_and(|first| now.saturating_duration_since(first.at) > KEEP_FOR)
        {
            let Some(old) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= old.message.len();
        }
    }

    /// False if the nonce was seen before.
    fn is_new(&mut self, nonce: &[u8]) -> bool {
        if nonce.is_empty() {
            return true;
        }
        if self.nonces.iter().any(|known| known == nonce) {
            return false;
        }
        if self.nonces.len() >= KEEP_NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(nonce.to_vec());
        true
    }
}

impl Room {
    /// Relays a message a participant sent.
    pub(super) fn data_received(
        &mut self,
        cx: &mut Context,
        now: Instant,
        at: TransportRef,
        data: ChannelData,
    ) {
        cx.counters.data_messages_in += 1;
        let Some(participant) = self.participants.get_mut(at.participant) else {
            return;
        };
        let label = participant
            .transport(at.target)
            .and_then(|transport| transport.channel_label(data.id));
        if label == Some(ChannelLabel::DataTrack) {
            self.data_track_received(cx, at.participant, data.data);
            return;
        }
        let (Some(label @ (ChannelLabel::Reliable | ChannelLabel::Lossy)), true) =
            (label, participant.info.permission.can_publish_data)
        else {
            cx.counters.drop_one(DropReason::DataRefused);
            return;
        };
        let sender = DataSender {
            identity: &participant.info.identity,
            sid: &participant.info.sid,
            is_agent: participant.info.permission.agent,
        };
        let Ok(stamped) = cx.codec.stamp(&data.data, sender) else {
            cx.counters.drop_one(DropReason::DataRefused);
            return;
        };
        let reliable = label == ChannelLabel::Reliable;
        if reliable && stamped.sequence > 0 {
            // After a resume a client repeats what it is not sure of.
            if stamped.sequence <= participant.data.last_sequence {
                return;
            }
            participant.data.last_sequence = stamped.sequence;
        }
        if !stamped.relay {
            return;
        }
        let from = participant.info.sid.clone();
        let mut destinations = stamped.destinations;
        destinations.extend(self.identities_of(&stamped.destination_sids));
        self.deliver(
            cx,
            Some(at.participant),
            label,
            &stamped.message,
            &destinations,
        );
        let data = RelayedData {
            from: Some(from),
            reliable,
            sequence: stamped.sequence,
            destinations,
            nonce: Vec::new(),
            message: stamped.message,
        };
        self.log(now, &data);
        self.relay_data(cx, data);
    }

    /// Sends a message of the server API. Destinations that are not in the room are passed over.
    pub(super) fn send_data(&mut self, cx: &mut Context, data: SendData) {
        if !self.data_log.is_new(&data.nonce) {
            return;
        }
        let mut destinations = data.destinations;
        destinations.extend(self.identities_of(&data.destination_sids));
        let named = !data.destination_sids.is_empty();
        if named && destinations.is_empty() {
            return;
        }
        let message: Arc<[u8]> = Arc::from(data.message);
        let label = channel(data.reliable);
        self.deliver(cx, None, label, &message, &destinations);
        let relayed = RelayedData {
            from: None,
            reliable: data.reliable,
            sequence: 0,
            destinations,
            nonce: data.nonce,
            message,
        };
        self.relay_data(cx, relayed);
    }

    /// Takes a message of a participant of another replica, or of the server API there.
    pub(super) fn deliver_relayed(&mut self, cx: &mut Context, data: &RelayedData) {
        if !self.data_log.is_new(&data.nonce) {
            return;
        }
        let label = channel(data.reliable);
        self.deliver(cx, None, label, &data.message, &data.destinations);
        self.log(cx.now, data);
    }

    /// Keeps a reliable message for those who resume.
    fn log(&mut self, at: Instant, data: &RelayedData) {
        if let Some(from) = data
            .from
            .clone()
            .filter(|_| data.reliable && data.sequence > 0)
        {
            self.data_log.push(Logged {
                at,
                from,
                sequence: data.sequence,
                message: data.message.clone(),
                destinations: data.destinations.clone(),
            });
        }
    }

    fn deliver(
        &mut self,
        cx: &mut Context,
        from: Option<ParticipantKey>,
        label: ChannelLabel,
        message: &Arc<[u8]>,
        destinations: &[Identity],
    ) {
        for (key, participant) in &mut self.participants {
            if from == Some(key)
                || !(destinations.is_empty() || destinations.contains(participant.identity()))
            {
                continue;
            }
            participant
                .data_transport(label)
                .send_data(cx, label, message);
        }
    }

    /// Sends a participant that resumed what it has missed, by the last message it has of each publisher.
    pub(super) fn replay(
        &mut self,
        cx: &mut Context,
        _now: Instant,
        key: ParticipantKey,
        received: &[(ParticipantSid, u32)],
    ) {
        let Some(participant) = self.participants.get_mut(key) else {
            return;
        };
        for logged in &self.data_log.messages {
            let last = received
                .iter()
                .find(|(sid, _)| *sid == logged.from)
                .map_or(0, |(_, last)| *last);
            let meant = logged.destinations.is_empty()
                || logged.destinations.contains(&participant.info.identity);
            // Without a state for the publisher nothing is known to be missing: clients drop repeats, but not old news.
            if last > 0 && logged.sequence > last && meant && logged.from != participant.info.sid {
                let label = ChannelLabel::Reliable;
                participant
                    .data_transport(label)
                    .send_data(cx, label, &logged.message);
            }
        }
    }
}

fn channel(reliable: bool) -> ChannelLabel {
    if reliable {
        ChannelLabel::Reliable
    } else {
        ChannelLabel::Lossy
    }
}

impl super::Participant {
    /// Where data for the participant goes: its primary connection, or the one that has the channel.
    pub(super) fn data_transport(
        &mut self,
        label: ChannelLabel,
    ) -> &mut crate::transport::Transport {
        let subscriber_ready = self
            .subscriber
            .as_ref()
            .is_some_and(|s| s.has_channel(label))
            || self.primary() == Target::Subscriber;
        match &mut self.subscriber {
            Some(subscriber) if subscriber_ready => subscriber,
            _ => &mut self.publisher,
        }
    }
}
