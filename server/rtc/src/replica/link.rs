//! Puts the messages of one replica to another in order, and finds out what is missing.
//!
//! Over a reliable stream nothing of this shows but an acknowledgement now and then. It pays when a link is cut and what
//! was in its buffers is gone: both sides go on where the other stopped, so that not even a data message is lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{ReplicaBody, ReplicaMessage};

/// Messages kept until the far side has them; it gets the complete state if that is not enough.
const MAX_RETAINED: usize = 4_096;
/// Bytes of data messages and metadata among them.
const MAX_RETAINED_BYTES: usize = 8 * 1024 * 1024;
/// Messages kept that came too early.
const MAX_HELD: usize = 4_096;
/// A gap that lasts longer is not one of order but of loss.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often is asked for what is missing, and for an acknowledgement of what was sent.
const AGAIN: Duration = Duration::from_secs(1);

/// The messages from this replica to a peer.
#[derive(Debug)]
pub(crate) struct Outbox {
    epoch: u64,
    highest: u64,
    retained: VecDeque<(u64, ReplicaBody)>,
    bytes: usize,
    beat_at: Option<Instant>,
}

impl Outbox {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            highest: 0,
            retained: VecDeque::new(),
            bytes: 0,
            beat_at: None,
        }
    }

    /// Numbers a message and keeps it until it is acknowledged.
    pub(crate) fn number(&mut self, now: Instant, body: ReplicaBody) -> ReplicaMessage {
        if matches!(body, ReplicaBody::Sync(_)) {
            self.retained.clear();
            self.bytes = 0;
        }
        self.highest += 1;
        self.bytes += size(&body);
        self.retained.push_back((self.highest, body.clone()));
        while self.retained.len() > MAX_RETAINED || self.bytes > MAX_RETAINED_BYTES {
            self.forget_first();
        }
        self.beat_at.get_or_insert(now + AGAIN);
        self.message(self.highest, body)
    }

    /// A message outside the order.
    pub(crate) fn plain(&self, body: ReplicaBody) -> ReplicaMessage {
        self.message(0, body)
    }

    /// The far side has everything up to `have`.
    pub(crate) fn acknowledged(&mut self, of: u64, have: u64) {
        if of != self.epoch {
            return;
        }
        while self
            .retained
            .front()
            .is_some_and(|(number, _)| *number <= have)
        {
            self.forget_first();
        }
        if self.retained.is_empty() {
            self.beat_at = None;
        }
    }

    /// Everything after `have`; `None` if only the complete state helps.
    pub(crate) fn since(&self, of: u64, have: u64) -> Option<Vec<ReplicaMessage>> {
        let first = self.retained.front().map(|(number, _)| *number);
        let complete = match first {
            // A complete state in front makes what came before needless.
            Some(first) => {
                first <= have + 1
                    || matches!(self.retained.front(), Some((_, ReplicaBody::Sync(_))))
            }
            None => have == self.highest,
        };
        if !complete || of != self.epoch && !self.begins_with_sync() {
            return None;
        }
        let from = if of == self.epoch { have } else { 0 };
        let missing = self.retained.iter().filter(|(number, _)| *number > from);
        Some(
            missing
                .map(|(number, body)| self.message(*number, body.clone()))
                .collect(),
        )
    }

    /// When [`Self::poll_beat`] has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.beat_at
    }

    /// Asks the far side whether it has everything, while that is not known.
    pub(crate) fn poll_beat(&mut self, now: Instant) -> Option<ReplicaMessage> {
        self.beat_at.take_if(|at| *at <= now)?;
        if self.retained.is_empty() {
            return None;
        }
        self.beat_at = Some(now + AGAIN);
        let highest = self.highest;
        Some(self.plain(ReplicaBody::Beat { highest }))
    }

    fn begins_with_sync(&self) -> bool {
        matches!(self.retained.front(), Some((_, ReplicaBody::Sync(_))))
    }

    fn forget_first(&mut self) {
        if let Some((_, body)) = self.retained.pop_front() {
            self.bytes -= size(&body);
        }
    }

    fn message(&self, number: u64, body: ReplicaBody) -> ReplicaMessage {
        ReplicaMessage {
            epoch: self.epoch,
            number,
            body,
        }
    }
}

fn size(body: &ReplicaBody) -> usize {
    match body {
        ReplicaBody::Data(data) => data.message.len(),
        ReplicaBody::Participant(told) => {
            let attributes = told.info.attributes.iter();
            let attributes: usize = attributes
                .map(|(name, value)| name.len() + value.len())
                .sum();
            told.info.metadata.len() + attributes
        }
        ReplicaBody::Room(record) => record.config.metadata.len(),
        _ => 0,
    }
}

/// The messages from a peer to this replica.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    epoch: u64,
    /// The number that comes next; 0 = only a complete state helps.
    next: u64,
    /// Came too early.
    held: BTreeMap<u64, ReplicaBody>,
    /// Highest number known to have been given.
    highest: u64,
    ask_at: Option<Instant>,
}

/// What a message brought about.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It is of an earlier life.
    Outdated,
    /// These can be taken now, in this order.
    Ready {
        bodies: Vec<ReplicaBody>,
        /// The peer began a new life, and knows nothing of us.
        new_life: bool,
    },
}

impl Inbox {
    /// Takes a message in any order.
    pub(crate) fn take(&mut self, now: Instant, message: ReplicaMessage) -> Progress {
        if message.epoch < self.epoch {
            return Progress::Outdated;
        }
        let new_life = message.epoch > self.epoch && self.epoch > 0;
        if message.epoch > self.epoch {
            *self = Self {
                epoch: message.epoch,
                ..Self::default()
            };
        }
        let bodies = if message.number == 0 {
            if let ReplicaBody::Beat { highest } = &message.body {
                self.highest = self.highest.max(*highest);
            }
            vec![message.body]
        } else {
            self.highest = self.highest.max(message.number);
            self.order(message.number, message.body)
        };
        if self.is_complete() {
            self.ask_at = None;
        } else {
            self.ask_at.get_or_insert(now + PATIENCE);
        }
        Progress::Ready { bodies, new_life }
    }

    fn order(&mut self, number: u64, body: ReplicaBody) -> Vec<ReplicaBody> {
        if number < self.next {
            return Vec::new();
        }
        if matches!(body, ReplicaBody::Sync(_)) {
            self.held = self.held.split_off(&(number + 1));
        } else if self.next == 0 || number > self.next {
            if self.held.len() < MAX_HELD {
                self.held.insert(number, body);
            }
            return Vec::new();
        }
        self.next = number + 1;
        let mut ready = vec![body];
        while let Some(body) = self.held.remove(&self.next) {
            ready.push(body);
            self.next += 1;
        }
        ready
    }

    /// Whether nothing is known to be missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.next > self.highest
    }

    /// Says how far the messages have come.
    pub(crate) fn acknowledgement(&self) -> ReplicaBody {
        let (of, have) = (self.epoch, self.next.saturating_sub(1));
        ReplicaBody::Ack { of, have }
    }

    /// Says what is missing.
    pub(crate) fn request(&self) -> ReplicaBody {
        let (of, have) = (self.epoch, self.next.saturating_sub(1));
        ReplicaBody::Resend { of, have }
    }

    /// When [`Self::poll_request`] has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Asks for what has been missing for a while.
    pub(crate) fn poll_request(&mut self, now: Instant) -> Option<ReplicaBody> {
        self.ask_at.take_if(|at| *at <= now)?;
        self.ask_at = Some(now + AGAIN);
        Some(self.request())
    }
}

#[cfg(test)]
mod tests;
