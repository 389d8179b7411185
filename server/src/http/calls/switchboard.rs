//! The call book with a clock, a lock and listeners.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tradewind_rtc::RoomEvent;

use super::book::{AnswerError, CallBook};
use crate::http::rate::RateByAddress;

/// Wrong desk keys per minute and address: enough for slips of the finger, too few to guess.
const GUESSES_PER_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// All calls of the node, for the routes.
pub(crate) struct Switchboard {
    book: Mutex<CallBook>,
    /// `{"calls": [...]}`, as the desk receives it.
    list: watch::Sender<Arc<str>>,
    /// The next deadline of the book may have moved.
    rescheduled: Notify,
    turns: Mutex<RateByAddress>,
    guesses: Mutex<RateByAddress>,
    stop: CancellationToken,
}

impl Switchboard {
    /// An empty switchboard that follows nothing yet: see [`Self::run`]. `calls_per_minute` is per address.
    pub(crate) fn new(calls_per_minute: u32, stop: CancellationToken) -> Self {
        Self {
            list: watch::Sender::new(listing(&CallBook::default())),
            book: Mutex::default(),
            rescheduled: Notify::new(),
            turns: Mutex::new(RateByAddress::new(calls_per_minute, MINUTE)),
            guesses: Mutex::new(RateByAddress::new(GUESSES_PER_MINUTE, MINUTE)),
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
                    self.change(|book| book.handle_event(&event, Instant::now(), unix_ms()));
                }
                () = sleep_until(due) => self.change(|book| book.handle_timeout(Instant::now())),
                () = self.rescheduled.notified() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    pub(super) fn open(&self, id: &str, name: &str, language: &str) {
        self.change(|book| book.open(id, name, language, Instant::now(), unix_ms()));
        self.rescheduled.notify_one();
    }

    pub(super) fn answer(&self, id: &str, agent: &str) -> Result<(), AnswerError> {
        let answered = self.change(|book| book.answer(id, agent, Instant::now()));
        self.rescheduled.notify_one();
        answered
    }

    pub(super) fn unanswered(&self) -> usize {
        self.lock().unanswered()
    }

    pub(super) fn list(&self) -> Arc<str> {
        self.list.borrow().clone()
    }

    pub(super) fn follow(&self) -> Lists {
        let mut list = self.list.subscribe();
        list.mark_changed();
        Lists {
            list,
            stop: self.stop.clone(),
        }
    }

    /// Lets `address` start one more call, or says how long it must wait.
    pub(super) fn take_turn(&self, address: IpAddr) -> Result<(), Duration> {
        self.turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(address, Instant::now())
    }

    /// How long `address` must wait after too many wrong desk keys before even the right one is looked at.
    pub(super) fn guess_wait(&self, address: IpAddr) -> Option<Duration> {
        self.guesses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait(address, Instant::now())
    }

    /// Counts a wrong desk key.
    pub(super) fn count_guess(&self, address: IpAddr) {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        // A refusal shows in the next `guess_wait`.
        let _ = guesses.take(address, Instant::now());
    }

    fn change<T>(&self, change: impl FnOnce(&mut CallBook) -> T) -> T {
        let mut book = self.lock();
        let result = change(&mut book);
        let list = listing(&book);
        self.list.send_if_modified(|last| {
            let changed = *last != list;
            *last = list;
            changed
        });
        result
    }

    fn lock(&self) -> MutexGuard<'_, CallBook> {
        // A panic between two changes leaves the book whole: each change is one call.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The list of calls, now and after every change.
pub(super) struct Lists {
    list: watch::Receiver<Arc<str>>,
    stop: CancellationToken,
}

impl Lists {
    /// The newest list, once it differs from the last one given; `None` when the node stops.
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        tokio::select! {
            changed = self.list.changed() => changed.ok()?,
            () = self.stop.cancelled() => return None,
        }
        Some(self.list.borrow_and_update().clone())
    }
}

fn listing(book: &CallBook) -> Arc<str> {
    json!({ "calls": book.list() }).to_string().into()
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn unix_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
