//! The data channels of a transport, with a bounded backlog for receivers slower than the sender.

use std::collections::VecDeque;
use std::sync::Arc;

use str0m::Rtc;
use str0m::channel::ChannelId;

use super::Transport;
use crate::context::Context;
use crate::counters::{Counters, DropReason};

/// Bytes of reliable messages waiting for one receiver. A receiver further behind than this loses messages.
const MAX_BACKLOG: usize = 32 * 1024 * 1024;
/// The same while the receiver's channel is not open: it has just joined, or opens its channels anew.
const MAX_EARLY_BACKLOG: usize = 1024 * 1024;
/// str0m tells when its own buffer falls below this, and the backlog moves up.
const LOW_WATER: usize = 256 * 1024;

/// The channels SDKs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChannelLabel {
    Reliable,
    Lossy,
    DataTrack,
}

impl ChannelLabel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
            Self::DataTrack => "_data_track",
        }
    }

    pub(crate) fn from_label(label: &str) -> Option<Self> {
        [Self::Reliable, Self::Lossy, Self::DataTrack]
            .into_iter()
            .find(|known| known.as_str() == label)
    }
}

#[derive(Default)]
pub(super) struct Channels {
    open: Vec<(ChannelLabel, ChannelId)>,
    backlog: VecDeque<Arc<[u8]>>,
    backlog_bytes: usize,
}

impl Channels {
    pub(super) fn opened(
        &mut self,
        rtc: &mut Rtc,
        id: ChannelId,
        label: &str,
        counters: &mut Counters,
    ) {
        let Some(label) = ChannelLabel::from_label(label) else {
            return;
        };
        if let Some(mut channel) = rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(LOW_WATER);
        }
        // A client that opens the channel anew means the newer one.
        self.open.retain(|(known, _)| *known != label);
        self.open.push((label, id));
        self.drain_backlog(rtc, id, counters);
    }

    pub(super) fn closed(&mut self, id: ChannelId) {
        self.open.retain(|(_, known)| *known != id);
    }

    /// Moves waiting messages into the channel's buffer.
    pub(super) fn drain_backlog(&mut self, rtc: &mut Rtc, id: ChannelId, counters: &mut Counters) {
        if self.id(ChannelLabel::Reliable) != Some(id) {
            return;
        }
        while let Some(message) = self.backlog.front() {
            if !write(rtc, id, message) {
                return;
            }
            counters.data_messages_out += 1;
            self.backlog_bytes -= message.len();
            self.backlog.pop_front();
        }
    }

    fn id(&self, label: ChannelLabel) -> Option<ChannelId> {
        self.open
            .iter()
            .find(|(known, _)| *known == label)
            .map(|(_, id)| *id)
    }
}

impl Transport {
    /// Which known channel this is.
    pub(crate) fn channel_label(&self, id: ChannelId) -> Option<ChannelLabel> {
        self.channels
            .open
            .iter()
            .find(|(_, known)| *known == id)
            .map(|(label, _)| *label)
    }

    /// Whether the client can receive data on this channel now.
    pub(crate) fn has_channel(&self, label: ChannelLabel) -> bool {
        self.channels.id(label).is_some()
    }

    /// Sends a data message. Reliable ones wait for the channel to open and to have room, within limits.
    pub(crate) fn send_data(&mut self, cx: &mut Context, label: ChannelLabel, message: &Arc<[u8]>) {
        self.guarded(cx, |transport, cx| {
            let Self { rtc, channels, .. } = transport;
            let open = channels.id(label);
            let reliable = label == ChannelLabel::Reliable;
            let waits = reliable && !channels.backlog.is_empty();
            let limit = if open.is_some() {
                MAX_BACKLOG
            } else {
                MAX_EARLY_BACKLOG
            };
            if !waits && open.is_some_and(|id| write(rtc, id, message)) {
                cx.counters.data_messages_out += 1;
            } else if reliable && channels.backlog_bytes + message.len() <= limit {
                channels.backlog_bytes += message.len();
                channels.backlog.push_back(message.clone());
            } else {
                cx.counters.drop_one(DropReason::DataBufferFull);
            }
            transport.mark_dirty(cx);
        });
    }
}

/// False if the buffer is full or the channel is closing. A message the channel refuses for good is swallowed.
fn write(rtc: &mut Rtc, id: ChannelId, message: &[u8]) -> bool {
    rtc.channel(id)
        .is_some_and(|mut channel| channel.write(true, message).unwrap_or(true))
}
