//! A node's own registration: when to speak, and under which epoch.

use std::time::Duration;

use super::{Heartbeat, Patience, Why, Withdrawal};
use crate::NodeRecord;

/// Time between heartbeats.
const EVERY: Duration = Duration::from_secs(1);
/// Changes are told at once, but not more often than this.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// A node's own registration.
#[derive(Debug)]
pub struct Own {
    record: NodeRecord,
    epoch: u64,
    number: u64,
    last_beat: Option<Duration>,
    due: Duration,
    /// Withdrawn by the agent until then, unless it says more.
    held_until: Option<Duration>,
    left: bool,
}

impl Own {
    /// A registration that starts with the next [`Self::poll`]. `epoch` should be higher than that of the node's last
    /// run; if it is not, the first withdrawal that comes in makes it so.
    #[must_use]
    pub fn new(record: NodeRecord, epoch: u64) -> Self {
        Self {
            record,
            epoch,
            number: 0,
            last_beat: None,
            due: Duration::ZERO,
            held_until: None,
            left: false,
        }
    }

    #[must_use]
    pub fn record(&self) -> &NodeRecord {
        &self.record
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Replaces the record. More than a change of load is told at once.
    pub fn set(&mut self, now: Duration, record: NodeRecord) {
        let news = NodeRecord {
            load: record.load,
            ..self.record.clone()
        } != record;
        self.record = record;
        if news {
            self.speak_soon(now);
        }
    }

    /// Somebody has come who may not know this node.
    pub fn speak_soon(&mut self, now: Duration) {
        let earliest = self.last_beat.map_or(now, |last| last + AT_MOST_EVERY);
        self.due = self.due.min(earliest.max(now));
    }

    /// A heartbeat of this node has come in that is not of this run: take an epoch above it.
    pub fn heard_other(&mut self, now: Duration, epoch: u64, number: u64) {
        if (epoch, number) > (self.epoch, self.number) {
            self.epoch = epoch.saturating_add(1);
            self.number = 0;
            self.speak_soon(now);
        }
    }

    /// A withdrawal of this node has come in. The node keeps quiet while its agent keeps saying so.
    pub fn withdrawn(&mut self, now: Duration, withdrawal: &Withdrawal, patience: Patience) {
        self.epoch = self.epoch.max(withdrawal.epoch.saturating_add(1));
        if withdrawal.why != Why::Left {
            self.held_until = Some(now + patience.hold);
        }
    }

    /// The agent says that the server answers again.
    pub fn restored(&mut self, now: Duration, epoch: u64) {
        self.epoch = self.epoch.max(epoch.saturating_add(1));
        if self.held_until.take().is_some() {
            self.speak_soon(now);
        }
    }

    /// Whether the registration is withdrawn at the moment.
    #[must_use]
    pub fn is_held(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Ends the registration.
    pub fn leave(&mut self) -> Withdrawal {
        self.left = true;
        Withdrawal {
            node: self.record.id.clone(),
            epoch: self.epoch,
            why: Why::Left,
        }
    }

    /// The heartbeat to send now, if one is due.
    pub fn poll(&mut self, now: Duration) -> Option<Heartbeat> {
        if self.is_held(now) || self.left || now < self.due {
            return None;
        }
        self.held_until = None;
        self.number += 1;
        self.last_beat = Some(now);
        self.due = now + EVERY;
        Some(Heartbeat {
            epoch: self.epoch,
            number: self.number,
            record: self.record.clone(),
        })
    }
}
