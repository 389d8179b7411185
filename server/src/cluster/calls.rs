//! The same calls on every node: each tells the others of its changes, and asks them when it may have missed some.
//!
//! Copies of a call merge in any order, so that a message may come late, twice or never: what counts is that the last
//! state of each call is told again to whoever asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use tradewind_fleet::registry::NodeEvent;
use tradewind_fleet::{Bucket, Fleet, FleetError, FleetEvent, Messages, NodeId};

use super::TICK;
use crate::calls::call::Call;
use crate::calls::event::{CallEvent, Kind, Origin};
use crate::calls::{Planner, Switchboard};

/// Topic on which calls are told.
const TOPIC: &str = "calls";
/// Requests with an idempotency key, by the id of the call they make. They live as long as a call that ended can be
/// asked for.
const CLAIMS: Bucket = Bucket {
    name: "calls",
    max_age: Duration::from_secs(3_600),
};
/// How long a request waits for the fleet to agree that it is the first.
const CLAIMING: Duration = Duration::from_secs(1);
/// Events of calls that telling may fall behind.
const EVENT_CAPACITY: usize = 16_384;
/// Events told at a time: of several about one call, only its last state is told.
const BATCH: usize = 256;
/// Calls told again to those who ask, the newest of each state.
const MAX_RETOLD: usize = 10_000;
/// Calls told again at a time, and how often: 2,000 a second, so that news are not held up.
const RETOLD_AT_ONCE: usize = 100;
const RETELL_EVERY: Duration = Duration::from_millis(50);

/// What is published, in MessagePack.
#[derive(Serialize, Deserialize)]
struct Message {
    from: String,
    body: Body,
}

#[derive(Serialize, Deserialize)]
enum Body {
    /// A call after a change; without its placement if that is as before.
    Changed(Box<Call>),
    /// A call that somebody may have missed.
    Known(Box<Call>),
    /// Tell me yours: I have come, or come back.
    Ask,
}

/// Shares the calls of this node with the fleet, and learns those of others.
pub(crate) struct Sharing {
    fleet: Fleet,
    switchboard: Arc<Switchboard>,
    planner: Arc<Planner>,
    /// Ids of calls to tell again.
    retell: VecDeque<String>,
}

impl Sharing {
    pub(crate) fn new(fleet: Fleet, switchboard: Arc<Switchboard>, planner: Arc<Planner>) -> Self {
        Self {
            fleet,
            switchboard,
            planner,
            retell: VecDeque::new(),
        }
    }

    /// Runs until `stop` or the fleet's end.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let changes = self.switchboard.call_events(EVENT_CAPACITY);
        tokio::select! {
            () = self.share(changes) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn share(&mut self, mut changes: mpsc::Receiver<CallEvent>) {
        let mut events = self.fleet.events();
        let mut messages = self.subscribe().await;
        self.publish(Body::Ask).await;
        self.retell_all();
        let mut batch = Vec::new();
        let mut retelling = interval(RETELL_EVERY);
        retelling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                count = changes.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.tell(batch.drain(..)).await;
                }
                message = messages.next() => match message {
                    Some(message) => self.hear(&message),
                    None => messages = self.subscribe().await,
                },
                event = events.next() => match event {
                    Some(FleetEvent::Reconnected | FleetEvent::Missed) => {
                        self.publish(Body::Ask).await;
                        self.retell_all();
                    }
                    Some(FleetEvent::Node(NodeEvent::Lost { id, .. })) => self.lost(&id),
                    Some(FleetEvent::Node(NodeEvent::Restarted(view))) => {
                        self.lost(&view.record.id);
                    }
                    Some(_) => {}
                    None => return,
                },
                _ = retelling.tick(), if !self.retell.is_empty() => self.retell_some().await,
            }
        }
    }

    async fn subscribe(&self) -> Messages {
        loop {
            match self.fleet.subscribe(TOPIC).await {
                Ok(messages) => return messages,
                Err(error) => {
                    debug!(%error, "cannot hear of the fleet's calls yet");
                    sleep(TICK).await;
                }
            }
        }
    }

    /// Tells what this node changed.
    async fn tell(&self, events: impl Iterator<Item = CallEvent>) {
        let mut changed = BTreeMap::new();
        for event in events.filter(|event| event.origin == Origin::Here) {
            let is_placed = places(event.kind);
            let (last, placed) = changed
                .entry(event.call.id.clone())
                .or_insert((event.call.clone(), false));
            *last = event.call;
            *placed |= is_placed;
        }
        for (call, placed) in changed.into_values() {
            let mut call = Box::new(Call::clone(&call));
            if !placed {
                // The longest part by far, which the others have.
                call.placement = None;
            }
            self.publish(Body::Changed(call)).await;
        }
    }

    fn hear(&mut self, message: &[u8]) {
        let Ok(message) = rmp_serde::from_slice::<Message>(message) else {
            debug!("a call of another release was not understood");
            return;
        };
        if message.from == self.fleet.me().as_str() {
            return;
        }
        match message.body {
            Body::Changed(call) => {
                self.switchboard.learn(&call);
                if call.placement.is_some() {
                    self.planner.expect(&call, self.switchboard.now_ms());
                }
            }
            Body::Known(call) => self.switchboard.learn(&call),
            Body::Ask => self.retell_all(),
        }
    }

    /// Lets go of those who were on a node that is gone: each call is settled by its home, or without it by the first
    /// node that lives.
    fn lost(&self, node: &NodeId) {
        let me = self.fleet.me();
        if node == me {
            return;
        }
        let snapshot = self.fleet.snapshot();
        let mut living = snapshot.nodes.keys().filter(|id| *id != node);
        let is_first = living.next() == Some(me);
        let lives = |home: &str| {
            let mut nodes = snapshot.nodes.keys();
            home != node.as_str() && nodes.any(|id| id.as_str() == home)
        };
        self.switchboard.node_lost(node.as_str(), |call| {
            call.home == me.as_str() || (is_first && !lives(&call.home))
        });
    }

    /// Puts in line what this node is the one to tell: calls it made, and those with somebody here.
    fn retell_all(&mut self) {
        let me = self.fleet.me().as_str();
        let is_ours = |call: &&Arc<Call>| {
            call.home == me || call.parties.values().any(|party| party.node == me)
        };
        let calls = self.switchboard.calls();
        let mut ours: Vec<&Arc<Call>> = calls.iter().filter(is_ours).collect();
        ours.sort_by_key(|call| (call.ended.is_some(), std::cmp::Reverse(call.created_at_ms)));
        ours.truncate(MAX_RETOLD);
        self.retell = ours.into_iter().map(|call| call.id.clone()).collect();
    }

    async fn retell_some(&mut self) {
        for _ in 0..RETOLD_AT_ONCE {
            let Some(id) = self.retell.pop_front() else {
                return;
            };
            if let Some(call) = self.switchboard.get(&id) {
                let call = Box::new(Call::clone(&call));
                self.publish(Body::Known(call)).await;
            }
        }
    }

    async fn publish(&self, body: Body) {
        let mut message = Message {
            from: self.fleet.me().to_string(),
            body,
        };
        let mut told = self.fleet.publish(TOPIC, encode(&message)).await;
        if let (Err(FleetError::TooLarge { .. }), Body::Changed(call) | Body::Known(call)) =
            (&told, &mut message.body)
        {
            call.placement = None;
            told = self.fleet.publish(TOPIC, encode(&message)).await;
        }
        match told {
            Ok(()) => {}
            // Told again when the fleet is back.
            Err(error @ FleetError::Unavailable(_)) => debug!(%error, "a call was not told"),
            Err(error) => warn!(%error, "the fleet was not told of a call"),
        }
    }
}

/// Whether the change may be about where the call goes.
fn places(kind: Kind) -> bool {
    match kind {
        Kind::Created | Kind::PartyAdded | Kind::Answered | Kind::Moved => true,
        Kind::PartyJoined | Kind::PartyLeft | Kind::Measured | Kind::Ended => false,
    }
}

/// Requests that may come twice, on any node.
#[derive(Clone)]
pub(crate) struct Claims {
    fleet: Fleet,
}

impl Claims {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet }
    }

    /// Makes `call` the only one of its id in the fleet, or gives the one that another node has made. `None` as well
    /// without the registry: then a request repeated on another node meanwhile makes a call of the same id there, and
    /// the two become one on return.
    pub(crate) async fn claim(&self, call: &Call) -> Option<Call> {
        if !self.fleet.snapshot().connected {
            return None;
        }
        let claimed = timeout(CLAIMING, self.first(call)).await;
        let claimed = claimed.unwrap_or(Err(FleetError::TimedOut(CLAIMING)));
        claimed.unwrap_or_else(|error| {
            warn!(call = call.id, %error, "a repeat of a request could not be ruled out");
            None
        })
    }

    async fn first(&self, call: &Call) -> Result<Option<Call>, FleetError> {
        let mut put = self.fleet.put(CLAIMS, &call.id, encode(call), 0).await;
        if let Err(FleetError::TooLarge { .. }) = put {
            let mut brief = call.clone();
            brief.placement = None;
            put = self.fleet.put(CLAIMS, &call.id, encode(&brief), 0).await;
        }
        match put {
            Ok(_) => Ok(None),
            Err(FleetError::Conflict(_)) => {
                let known = self.fleet.get(CLAIMS, &call.id).await?;
                Ok(known
                    .body
                    .and_then(|body| rmp_serde::from_slice(&body).ok()))
            }
            Err(error) => Err(error),
        }
    }
}

/// The types here fail for no value: their maps have text keys and known lengths.
fn encode(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
