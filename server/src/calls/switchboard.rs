//! The call book with a clock, a lock and listeners.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tradewind_rtc::{AdminRequest, RoomEvent};

use super::book::{CallBook, CallError, Created};
use super::call::{Call, EndReason, Party, Placement, UnixMs};
use super::event::{CallEvent, Kind};
use super::journal::{Journal, Lost};
use super::list::{self, Cursor, Filter};
use crate::clock::unix_ms;
use crate::node::Node;
use crate::random;

/// Events of calls that closing rooms may fall behind.
const CLOSING_CAPACITY: usize = 16_384;

/// All calls this node knows of, for the routes, the webhooks and the fleet.
pub(crate) struct Switchboard {
    book: Mutex<CallBook>,
    journal: Mutex<Journal>,
    /// Number of the newest event in the journal.
    newest: watch::Sender<u64>,
    followers: Mutex<Vec<mpsc::Sender<CallEvent>>>,
    /// The next deadline of the book may have moved.
    rescheduled: Notify,
    clock: Clock,
    /// Tells the journal of this process from those of others.
    epoch: String,
    stop: CancellationToken,
}

impl Switchboard {
    /// An empty switchboard of node `node` that follows nothing yet: see [`Self::run`].
    pub(crate) fn new(node: &str, stop: CancellationToken) -> Self {
        Self {
            book: Mutex::new(CallBook::new(node)),
            journal: Mutex::default(),
            newest: watch::Sender::new(0),
            followers: Mutex::default(),
            rescheduled: Notify::new(),
            clock: Clock::start(),
            epoch: random::text(8).replace('-', "_"),
            stop,
        }
    }

    /// Follows the rooms until they or the node stop.
    pub(crate) async fn run(&self, mut events: mpsc::Receiver<RoomEvent>) {
        loop {
            let due = self.lock().poll_timeout();
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return };
                    self.change(|book, now| book.handle_event(&event, now));
                }
                () = self.clock.reaches(due) => self.change(CallBook::handle_timeout),
                () = self.rescheduled.notified() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Closes the rooms of `node` whose calls are ended by request, on whichever node the request came, until the node
    /// stops.
    pub(crate) async fn close_rooms(&self, node: Node) {
        let mut events = self.call_events(CLOSING_CAPACITY);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = self.stop.cancelled() => None,
            };
            let Some(event) = event else { return };
            let reason = event.call.ended.as_ref().map(|ended| ended.reason);
            if event.kind == Kind::Ended && reason == Some(EndReason::Requested) {
                let room = event.call.id.as_str().into();
                // The room may not be on this node, or be gone already.
                let _ = node.admin(AdminRequest::DeleteRoom { room }).await;
            }
        }
    }

    /// A queue that from now on receives every event of a call. Events are dropped if its reader falls `capacity`
    /// behind. For the fleet: publish the call of each event whose origin is here, and give what others publish to
    /// [`Self::learn`].
    pub(crate) fn call_events(&self, capacity: usize) -> mpsc::Receiver<CallEvent> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        unpoisoned(&self.followers).push(sender);
        receiver
    }

    /// Ends every queue of events once its reader has read the rest.
    pub(crate) fn close(&self) {
        unpoisoned(&self.followers).clear();
    }

    pub(crate) fn create(&self, call: Call) -> Result<Created, CallError> {
        self.change(|book, now| book.create(call, now))
    }

    pub(crate) fn add_party(
        &self,
        id: &str,
        party: Party,
        placement: Option<Placement>,
    ) -> Result<Arc<Call>, CallError> {
        self.change(|book, now| book.add_party(id, party, placement, now))
    }

    pub(crate) fn answer(
        &self,
        id: &str,
        agent: Party,
        placement: Option<Placement>,
    ) -> Result<Arc<Call>, CallError> {
        self.change(|book, now| book.answer(id, agent, placement, now))
    }

    pub(crate) fn can_answer(&self, id: &str) -> Result<(), CallError> {
        self.lock().can_answer(id)
    }

    pub(crate) fn end(&self, id: &str) -> Result<Arc<Call>, CallError> {
        self.change(|book, now| book.end(id, EndReason::Requested, now))
    }

    /// Notes a measured round trip, and gives the party it belongs to.
    pub(crate) fn measured(&self, id: &str, identity: &str, rtt_ms: f64) -> Option<Party> {
        self.change(|book, now| {
            book.measured(id, identity, rtt_ms, now);
            book.get(id)?.parties.get(identity).cloned()
        })
    }

    /// Notes from which address a party connects, and where that probably is.
    pub(crate) fn connects(
        &self,
        id: &str,
        identity: &str,
        address: IpAddr,
        place: Option<(f64, f64)>,
    ) {
        self.change(|book, now| book.connects(id, identity, address, place, now));
    }

    /// Takes a copy of a call from another node.
    pub(crate) fn learn(&self, copy: &Call) {
        self.change(|book, now| book.learn(copy, now));
    }

    /// Whoever was on `node` has left with it, in calls that are for this node to settle.
    pub(crate) fn node_lost(&self, node: &str, settles: impl Fn(&Call) -> bool) {
        self.change(|book, now| book.node_lost(node, settles, now));
    }

    /// Every call this node knows of.
    pub(crate) fn calls(&self) -> Vec<Arc<Call>> {
        self.lock().calls().cloned().collect()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Call>> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.lock().unanswered()
    }

    pub(crate) fn page(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> (Vec<Arc<Call>>, Option<Cursor>) {
        list::page(self.lock().calls(), filter, after, limit)
    }

    /// Calls whose shopper is there, first come first, as the desk sees them.
    pub(crate) fn at_the_desk(&self) -> Vec<Arc<Call>> {
        let book = self.lock();
        let here = |call: &&Arc<Call>| call.ended.is_none() && call.is_shopper_here();
        let mut calls: Vec<Arc<Call>> = book.calls().filter(here).cloned().collect();
        drop(book);
        calls.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        calls
    }

    /// Events from now on, or from after the event with this id, which an earlier stream gave.
    pub(crate) fn stream(self: &Arc<Self>, last_event_id: Option<&str>) -> Stream {
        let mut newest = self.newest.subscribe();
        newest.mark_changed();
        let last = unpoisoned(&self.journal).last();
        let after = match last_event_id {
            None => Some(last),
            Some(id) => id
                .split_once('-')
                .filter(|(epoch, _)| *epoch == self.epoch)
                .and_then(|(_, number)| number.parse().ok()),
        };
        Stream {
            switchboard: self.clone(),
            newest,
            after,
        }
    }

    pub(crate) fn now_ms(&self) -> UnixMs {
        self.clock.now_ms()
    }

    fn change<T>(&self, change: impl FnOnce(&mut CallBook, UnixMs) -> T) -> T {
        let mut book = self.lock();
        let result = change(&mut book, self.clock.now_ms());
        let events = book.take_events();
        if events.is_empty() {
            return result;
        }
        // Told under the lock of the book, so that everybody hears the events in their order.
        let mut journal = unpoisoned(&self.journal);
        for event in events {
            self.tell(&event);
            journal.add(event);
        }
        self.newest.send_replace(journal.last());
        drop(journal);
        drop(book);
        self.rescheduled.notify_one();
        result
    }

    fn tell(&self, event: &CallEvent) {
        unpoisoned(&self.followers).retain(|queue| match queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(call = event.call.id, "an event of a call was dropped");
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    fn lock(&self) -> MutexGuard<'_, CallBook> {
        unpoisoned(&self.book)
    }
}

/// A panic between two changes leaves books whole: each change is one call.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The events of calls for one listener.
pub(crate) struct Stream {
    switchboard: Arc<Switchboard>,
    newest: watch::Receiver<u64>,
    /// Number of the last event given; `None` = the listener's picture is not ours.
    after: Option<u64>,
}

/// What a listener of calls is told.
#[derive(Debug)]
pub(crate) enum Told {
    Event {
        id: String,
        event: Box<CallEvent>,
    },
    /// Events are missing: ask for the list anew. `id` is where the stream goes on.
    Reset {
        id: String,
    },
}

impl Stream {
    /// The next event, once there is one; `None` when the node stops.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.look() {
                return Some(told);
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = self.switchboard.stop.cancelled() => return None,
            }
        }
    }

    fn look(&mut self) -> Option<Told> {
        let journal = unpoisoned(&self.switchboard.journal);
        let id = |number: u64| format!("{}-{number}", self.switchboard.epoch);
        let next = self.after.ok_or(Lost).and_then(|after| journal.next(after));
        match next {
            Ok(None) => None,
            Ok(Some((number, event))) => {
                self.after = Some(number);
                Some(Told::Event {
                    id: id(number),
                    event: Box::new(event.clone()),
                })
            }
            Err(Lost) => {
                self.after = Some(journal.last());
                Some(Told::Reset {
                    id: id(journal.last()),
                })
            }
        }
    }

    /// Waits for the next event without looking at it; `None` when the node stops.
    pub(crate) async fn changed(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.newest.changed() => changed.ok(),
            () = self.switchboard.stop.cancelled() => None,
        }
    }
}

/// Unix time that never goes back, however the wall clock is set while the node runs.
struct Clock {
    started: Instant,
    started_ms: UnixMs,
}

impl Clock {
    fn start() -> Self {
        Self {
            started: Instant::now(),
            started_ms: unix_ms(),
        }
    }

    fn now_ms(&self) -> UnixMs {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(elapsed)
    }

    async fn reaches(&self, due: Option<UnixMs>) {
        match due {
            Some(due) => {
                let wait = due.saturating_sub(self.now_ms());
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[path = "switchboard_tests.rs"]
mod tests;
