//! Which node holds which room: a state machine over a bucket of entries that are replaced by compare-and-swap.
//!
//! It works by levels, not by edges: for each room there is what this node holds, what the bucket says, and from both
//! follows what the bucket should say ([`rules::wanted`]). Whatever was missed, lost or overwritten in between, the
//! next look puts it right; so coming back after a cut is nothing special.

mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::{NodeId, Opened, RoomEntry, RoomName, RoomSpec};

/// A write that failed for want of a backbone is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// A node that others keep removing puts itself back only so often: they have not heard of it, and both would write
/// without end.
const PUT_BACK: Duration = Duration::from_secs(2);
/// Entries are written anew so often, well within the age at which the bucket drops them.
const REFRESH: Duration = Duration::from_secs(1800);

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Replace (`None` = delete) the room's entry if its revision still is `expected`; then [`Directory::written`].
    Write {
        room: RoomName,
        entry: Option<RoomEntry>,
        expected: u64,
    },
    /// Read the room's entry; then [`Directory::changed`].
    Read(RoomName),
    /// An [`Directory::open`] has its answer.
    Opened(Opened),
    /// Somebody wants to know.
    Event(RoomEvent),
}

/// What changed among the rooms.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomEvent {
    /// A room has appeared, or its home, replicas or metadata have changed.
    Changed(Arc<RoomEntry>),
    /// A room is on no node any more.
    Gone(RoomName),
    /// This node's room lost against `winner`, opened elsewhere under the same name while neither could see the
    /// other: its participants must leave and join again.
    Superseded {
        lost_sid: String,
        winner: Arc<RoomEntry>,
    },
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in, under this revision.
    Done(u64),
    /// Another node was first.
    Conflict,
    /// Nobody knows.
    Unavailable,
}

/// The rooms of the fleet as one node knows them.
#[derive(Debug)]
pub struct Directory {
    me: NodeId,
    rooms: BTreeMap<RoomName, Cached>,
    held: BTreeMap<RoomName, Held>,
    alive: BTreeSet<NodeId>,
    /// Nodes that were seen to go, as opposed to those that have not been heard of yet.
    gone: BTreeSet<NodeId>,
    /// From when on a node that has not been heard of counts as dead.
    judge_from: Option<Duration>,
    /// Nobody can be asked, so no opener waits.
    offline: bool,
    /// This node's registration is withdrawn, so the others count it as dead.
    suspended: bool,
    actions: VecDeque<Action>,
}

/// A room as the bucket has it.
#[derive(Debug, Default)]
struct Cached {
    entry: Option<Arc<RoomEntry>>,
    revision: u64,
    /// What is being written, until the shell tells how it went.
    writing: Option<Option<RoomEntry>>,
    /// The revision that was known when a read began.
    reading: Option<u64>,
    /// Not before.
    retry: Duration,
    seen: Duration,
}

/// A room that this node holds.
#[derive(Debug)]
struct Held {
    /// As this node last believed it.
    entry: RoomEntry,
    /// The opener has its answer, so participants may be in it.
    answered: bool,
    /// To be written.
    metadata: Option<serde_json::Value>,
    /// When this node last put itself back into an entry.
    put_back: Option<Duration>,
}

impl Directory {
    /// A directory that knows nothing yet: who opens a room waits for the first list.
    #[must_use]
    pub fn new(me: NodeId) -> Self {
        Self {
            me,
            rooms: BTreeMap::new(),
            held: BTreeMap::new(),
            alive: BTreeSet::new(),
            gone: BTreeSet::new(),
            judge_from: None,
            offline: false,
            suspended: false,
            actions: VecDeque::new(),
        }
    }

    /// Opens a room here: claims it if nobody has it, joins its replicas otherwise. Answered by [`Action::Opened`].
    pub fn open(&mut self, now: Duration, spec: &RoomSpec) {
        let room = &spec.name;
        if let Some(held) = self.held.get(room) {
            let opened = Opened {
                entry: held.entry.clone(),
                confirmed: self.lists_me(room, &held.entry.sid),
            };
            if held.answered {
                self.actions.push_back(Action::Opened(opened));
            }
            return;
        }
        let known = self.rooms.get(room).and_then(|room| room.entry.as_deref());
        let entry = match known {
            Some(entry) => rules::with(entry, &self.me),
            None => RoomEntry::first(spec, &self.me),
        };
        let held = Held {
            entry,
            answered: false,
            metadata: None,
            put_back: None,
        };
        self.held.insert(room.clone(), held);
        if self.judge_from.is_some() {
            self.look(now, room.clone());
        } else if self.offline {
            self.settle(room);
        }
    }

    /// Stops waiting: what this node believes of the room is the answer.
    pub fn settle(&mut self, room: &RoomName) {
        let known = self
            .rooms
            .get(room)
            .is_some_and(|room| room.entry.is_some());
        if let Some(held) = self.held.get_mut(room)
            && !held.answered
        {
            held.answered = true;
            if !known {
                // A room that nobody has agreed to yields to any that somebody has.
                held.entry.epoch = 0;
            }
            self.actions.push_back(Action::Opened(Opened {
                entry: held.entry.clone(),
                confirmed: false,
            }));
        }
    }

    /// Closes a room here: the last participant has left this node.
    pub fn close(&mut self, now: Duration, room: &RoomName) {
        if self.held.remove(room).is_some() {
            self.look(now, room.clone());
        }
    }

    /// Closes all rooms here: the node leaves.
    pub fn close_all(&mut self, now: Duration) {
        for room in self.held.keys().cloned().collect::<Vec<_>>() {
            self.close(now, &room);
        }
    }

    /// Whether this node's registration is withdrawn: then it leaves its rooms to the others until it is back.
    pub fn suspend(&mut self, now: Duration, suspended: bool) {
        let returns = std::mem::replace(&mut self.suspended, suspended) && !suspended;
        if returns {
            self.poll(now);
        }
    }

    /// Replaces a room's metadata, on a node that holds it.
    pub fn set_metadata(&mut self, now: Duration, room: &RoomName, metadata: serde_json::Value) {
        if let Some(held) = self.held.get_mut(room) {
            held.entry.metadata = metadata.clone();
            held.metadata = Some(metadata);
            if self.judge_from.is_some() {
                self.look(now, room.clone());
            }
        }
    }

    /// The bucket says so.
    pub fn changed(
        &mut self,
        now: Duration,
        room: &RoomName,
        entry: Option<RoomEntry>,
        revision: u64,
    ) {
        let cached = self.rooms.entry(room.clone()).or_default();
        // A key that has expired reads as never written: that is news whatever its number.
        if revision < cached.revision && revision != 0 {
            return;
        }
        let entry = entry.map(Arc::new);
        let differs = cached.entry != entry;
        cached.entry.clone_from(&entry);
        cached.revision = revision;
        cached.seen = now;
        if differs {
            let event = match entry {
                Some(entry) => RoomEvent::Changed(entry),
                None => RoomEvent::Gone(room.clone()),
            };
            self.actions.push_back(Action::Event(event));
        }
        if self.judge_from.is_some() {
            self.look(now, room.clone());
        }
    }

    /// The whole bucket has been listed; `judge_after` from now the list of living nodes is complete.
    pub fn listed(
        &mut self,
        now: Duration,
        rooms: BTreeMap<RoomName, (Option<RoomEntry>, u64)>,
        judge_after: Duration,
    ) {
        self.judge_from = Some(now + judge_after);
        self.offline = false;
        for cached in self.rooms.values_mut() {
            // What was under way when the connection went will not be told any more, and numbers may start anew.
            cached.writing = None;
            cached.retry = Duration::ZERO;
            cached.revision = 0;
        }
        let known: Vec<_> = self.rooms.keys().cloned().collect();
        let missing = known.into_iter().filter(|room| !rooms.contains_key(room));
        for room in missing.collect::<Vec<_>>() {
            self.changed(now, &room, None, 0);
        }
        for (room, (entry, revision)) in rooms {
            self.changed(now, &room, entry, revision);
        }
        for room in self.held.keys().cloned().collect::<Vec<_>>() {
            self.look(now, room);
        }
    }

    /// The backbone is there, and its list under way: who opens a room waits for it.
    pub fn connected(&mut self) {
        self.offline = false;
    }

    /// The backbone is gone: rooms go on, and new ones are provisional.
    pub fn disconnected(&mut self) {
        self.judge_from = None;
        self.offline = true;
        for room in self.held.keys().cloned().collect::<Vec<_>>() {
            self.settle(&room);
        }
    }

    /// A write has ended.
    pub fn written(&mut self, now: Duration, room: &RoomName, outcome: Outcome) {
        let Some(cached) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(entry) = cached.writing.take() else {
            return;
        };
        match outcome {
            Outcome::Done(revision) => self.changed(now, room, entry, revision),
            Outcome::Conflict => {
                cached.retry = now + RETRY;
                cached.reading = Some(cached.revision);
                self.actions.push_back(Action::Read(room.clone()));
            }
            Outcome::Unavailable => cached.retry = now + RETRY,
        }
    }

    /// A read that followed a conflict has ended.
    pub fn read(
        &mut self,
        now: Duration,
        room: &RoomName,
        entry: Option<RoomEntry>,
        revision: u64,
    ) {
        let Some(cached) = self.rooms.get_mut(room) else {
            return;
        };
        cached.retry = Duration::ZERO;
        // Whatever was told while the read was under way is newer than what it found.
        if cached.reading.take() == Some(cached.revision) {
            self.changed(now, room, entry, revision);
        } else if self.judge_from.is_some() {
            self.look(now, room.clone());
        }
    }

    /// A node lives.
    pub fn node_joined(&mut self, id: NodeId) {
        self.gone.remove(&id);
        self.alive.insert(id);
    }

    /// A node is gone: its rooms get another home.
    pub fn node_lost(&mut self, now: Duration, id: NodeId) {
        self.alive.remove(&id);
        self.gone.insert(id);
        self.poll(now);
    }

    /// Looks at every room again. Call it once a second.
    pub fn poll(&mut self, now: Duration) {
        if self.judge_from.is_none() {
            return;
        }
        for room in self.rooms.keys().cloned().collect::<Vec<_>>() {
            self.look(now, room);
        }
        self.rooms.retain(|room, cached| {
            cached.entry.is_some() || cached.writing.is_some() || self.held.contains_key(room)
        });
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// A room on any node.
    #[must_use]
    pub fn room(&self, name: &RoomName) -> Option<Arc<RoomEntry>> {
        if let Some(held) = self.held.get(name)
            && held.answered
            && !self.lists_me(name, &held.entry.sid)
        {
            return Some(Arc::new(held.entry.clone()));
        }
        self.rooms.get(name)?.entry.clone()
    }

    /// All rooms on all nodes.
    pub fn rooms(&self) -> impl Iterator<Item = Arc<RoomEntry>> {
        let names: BTreeSet<&RoomName> = self.rooms.keys().chain(self.held.keys()).collect();
        names.into_iter().filter_map(|name| self.room(name))
    }

    fn lists_me(&self, room: &RoomName, sid: &str) -> bool {
        let stored = self.rooms.get(room).and_then(|room| room.entry.as_deref());
        stored.is_some_and(|entry| entry.sid == sid && entry.replicas.contains(&self.me))
    }

    /// Compares what is with what should be, and writes the difference.
    fn look(&mut self, now: Duration, room: RoomName) {
        let cached = self.rooms.entry(room.clone()).or_default();
        if cached.writing.is_some() || now < cached.retry {
            return;
        }
        let stored = cached.entry.clone();
        if let (Some(held), Some(stored)) = (self.held.get_mut(&room), &stored)
            && stored.sid != held.entry.sid
        {
            if !held.answered {
                held.entry = rules::with(stored, &self.me);
            } else if stored.beats(&held.entry) {
                let lost_sid = held.entry.sid.clone();
                self.held.remove(&room);
                self.actions.push_back(Action::Event(RoomEvent::Superseded {
                    lost_sid,
                    winner: Arc::clone(stored),
                }));
            }
        }
        let listed = stored
            .as_ref()
            .is_some_and(|entry| entry.replicas.contains(&self.me));
        if let Some(held) = self.held.get_mut(&room)
            && held.answered
            && !listed
        {
            let lately = held.put_back.is_some_and(|at| now < at + PUT_BACK);
            if self.suspended || lately {
                return;
            }
            held.put_back = Some(now);
        }
        let due = now.saturating_sub(self.rooms.get(&room).map_or(now, |room| room.seen)) > REFRESH;
        let facts = rules::Facts {
            me: &self.me,
            held: self.held.get(&room).map(|held| &held.entry),
            stored: stored.as_deref(),
        };
        let mut wanted = rules::wanted(&facts, |id| self.is_dead(now, id), |id| self.may_tidy(id));
        let metadata = self.held.get(&room).and_then(|held| held.metadata.as_ref());
        if let (Some(wanted), Some(metadata)) = (&mut wanted, metadata) {
            wanted.metadata.clone_from(metadata);
        }
        let refresh = due && wanted.as_ref().is_some_and(|entry| entry.home == self.me);
        if wanted.as_ref() != stored.as_deref() || refresh {
            self.write(now, room, wanted);
        } else if let (Some(held), Some(stored)) = (self.held.get_mut(&room), stored) {
            held.entry = RoomEntry::clone(&stored);
            held.metadata = None;
            if !held.answered {
                held.answered = true;
                self.actions.push_back(Action::Opened(Opened {
                    entry: held.entry.clone(),
                    confirmed: true,
                }));
            }
        }
    }

    fn write(&mut self, now: Duration, room: RoomName, entry: Option<RoomEntry>) {
        let cached = self.rooms.entry(room.clone()).or_default();
        cached.writing = Some(entry.clone());
        cached.seen = now;
        self.actions.push_back(Action::Write {
            room,
            entry,
            expected: cached.revision,
        });
    }

    fn is_dead(&self, now: Duration, id: &NodeId) -> bool {
        let judged = self.judge_from.is_some_and(|from| now >= from);
        *id != self.me && (self.gone.contains(id) || (judged && !self.alive.contains(id)))
    }

    /// Whether this node is the one to remove entries whose nodes are all dead: the first of the living.
    fn may_tidy(&self, id: &NodeId) -> bool {
        self.alive.first().is_none_or(|first| id <= first)
    }
}

#[cfg(test)]
mod tests;
