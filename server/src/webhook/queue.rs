//! Events on their way: one line per room and receiver, so that order holds within a room, and neither a slow receiver
//! nor a slow room holds up another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tradewind_rtc::RoomName;

use super::retry;
use crate::metrics::{self, Delivery};
use crate::random;

/// Memory for events that wait for one receiver, in units of 1 KiB: tens of thousands of usual events.
const MAX_WAITING_KIB: usize = 32 * 1024;
/// Events that wait in one line: a room with much coming and going for the minutes a receiver may be away.
const MAX_LINE: usize = 1_000;
/// Requests to one receiver at a time.
const MAX_REQUESTS: usize = 32;

/// Sends one event to one receiver.
pub(super) trait Post: Send + Sync + 'static {
    /// Whether receiver number `receiver` has taken the event; if not, why.
    fn post(
        &self,
        receiver: usize,
        body: &Arc<[u8]>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// Lines of all rooms to all receivers. Cheap to clone.
pub(super) struct Queue<P> {
    shared: Arc<Shared<P>>,
    deliveries: TaskTracker,
}

struct Shared<P> {
    post: P,
    receivers: Vec<Receiver>,
    /// A line is here while a task works on it.
    lines: Mutex<HashMap<(RoomName, usize), VecDeque<Waiting>>>,
}

struct Receiver {
    memory: Arc<Semaphore>,
    requests: Semaphore,
}

struct Waiting {
    body: Arc<[u8]>,
    _memory: OwnedSemaphorePermit,
}

impl<P: Post> Queue<P> {
    pub(super) fn new(post: P, receivers: usize) -> Self {
        let receiver = || Receiver {
            memory: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            requests: Semaphore::new(MAX_REQUESTS),
        };
        let shared = Shared {
            post,
            receivers: (0..receivers).map(|_| receiver()).collect(),
            lines: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            deliveries: TaskTracker::new(),
        }
    }

    /// Sends `body` to every receiver, after what was sent for `room` before. Never waits: what finds no room is
    /// dropped and counted.
    pub(super) fn send(&self, room: &RoomName, body: &Arc<[u8]>) {
        for receiver in 0..self.shared.receivers.len() {
            if !self.send_to(room, receiver, body.clone()) {
                tracing::warn!(%room, receiver, "a webhook event was dropped: too many wait for this receiver");
                metrics::webhook_delivery(Delivery::Dropped);
            }
        }
    }

    /// Waits until everything is delivered or given up.
    pub(super) async fn drained(&self) {
        self.deliveries.close();
        self.deliveries.wait().await;
    }

    fn send_to(&self, room: &RoomName, receiver: usize, body: Arc<[u8]>) -> bool {
        let Some(target) = self.shared.receivers.get(receiver) else {
            return false;
        };
        let kib = u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let Ok(memory) = target.memory.clone().try_acquire_many_owned(kib) else {
            return false;
        };
        let waiting = Waiting {
            body,
            _memory: memory,
        };

        let mut lines = self.shared.lines();
        let key = (room.clone(), receiver);
        match lines.get_mut(&key) {
            Some(line) if line.len() >= MAX_LINE => return false,
            Some(line) => line.push_back(waiting),
            None => {
                lines.insert(key.clone(), VecDeque::from([waiting]));
                self.deliveries.spawn(self.shared.clone().deliver_line(key));
            }
        }
        count_waiting(&lines);
        true
    }
}

impl<P: Post> Shared<P> {
    async fn deliver_line(self: Arc<Self>, key: (RoomName, usize)) {
        while let Some(waiting) = self.next_in_line(&key) {
            self.deliver(&key.0, key.1, &waiting.body).await;
        }
    }

    fn next_in_line(&self, key: &(RoomName, usize)) -> Option<Waiting> {
        let mut lines = self.lines();
        let next = lines.get_mut(key)?.pop_front();
        if next.is_none() {
            lines.remove(key);
        }
        count_waiting(&lines);
        next
    }

    async fn deliver(&self, room: &RoomName, receiver: usize, body: &Arc<[u8]>) {
        for tries in 1.. {
            let Err(reason) = self.try_once(receiver, body).await else {
                metrics::webhook_delivery(Delivery::Delivered);
                return;
            };
            let Some(pause) = retry::pause(tries, random::fraction()) else {
                tracing::warn!(%room, receiver, tries, reason, "a webhook event was given up");
                metrics::webhook_delivery(Delivery::Failed);
                return;
            };
            tracing::debug!(%room, receiver, tries, reason, ?pause, "a webhook event is tried again");
            metrics::webhook_delivery(Delivery::Retried);
            sleep(pause).await;
        }
    }

    async fn try_once(&self, receiver: usize, body: &Arc<[u8]>) -> Result<(), String> {
        let target = self.receivers.get(receiver).ok_or("no such receiver")?;
        let _slot = target
            .requests
            .acquire()
            .await
            .map_err(|_| "shutting down")?;
        self.post.post(receiver, body).await
    }
}

impl<P> Shared<P> {
    fn lines(&self) -> MutexGuard<'_, HashMap<(RoomName, usize), VecDeque<Waiting>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_waiting(lines: &HashMap<(RoomName, usize), VecDeque<Waiting>>) {
    metrics::webhook_queue(lines.values().map(VecDeque::len).sum());
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
