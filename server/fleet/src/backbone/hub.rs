//! A backbone inside the process: all there is on one node, and a fleet with faults in tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Backbone, Bucket, Connection, Message, Result, Value, Watched, check_size, covers};
use crate::FleetError;

/// Messages a subscriber may be behind before it misses some.
const BACKLOG: usize = 4096;

/// What happens to messages on their way, by a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbance {
    pub seed: u64,
    /// Longest delay of a message; each takes its own, so that they overtake each other.
    pub delay: Duration,
    /// Share of messages that arrive twice, 0 to 1.
    pub duplicated: f64,
    /// Share of messages that never arrive, 0 to 1.
    pub lost: f64,
}

/// Where the backbones of one process meet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    subscriptions: Vec<Subscription>,
    buckets: BTreeMap<&'static str, BTreeMap<String, Stored>>,
    watches: Vec<Watch>,
    revision: u64,
    inboxes: u64,
    connections: u64,
    disturbance: Disturbance,
    random: u64,
}

struct Member {
    connection: watch::Sender<Connection>,
}

struct Subscription {
    member: usize,
    filter: String,
    sender: mpsc::Sender<Message>,
}

struct Watch {
    member: usize,
    bucket: &'static str,
    sender: mpsc::UnboundedSender<Watched>,
}

struct Stored {
    value: Value,
    written: Instant,
}

/// One member's access to a [`Hub`].
pub struct HubMember {
    hub: Hub,
    member: usize,
}

impl Hub {
    /// A hub without members, messages or keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new member, connected.
    #[must_use]
    pub fn member(&self) -> Arc<HubMember> {
        let mut state = self.lock();
        state.members.push(Member {
            connection: watch::Sender::new(Connection::Up(0)),
        });
        Arc::new(HubMember {
            hub: self.clone(),
            member: state.members.len() - 1,
        })
    }

    /// Cuts every member off, as when the backbone is killed.
    pub fn go_down(&self) {
        let members = self.lock().members.len();
        (0..members).for_each(|member| self.cut(member));
    }

    /// Brings every member back.
    pub fn come_back(&self) {
        let members = self.lock().members.len();
        (0..members).for_each(|member| self.heal(member));
    }

    /// Forgets all keys, as when the backbone comes back without its disk.
    pub fn wipe(&self) {
        self.lock().buckets.clear();
    }

    /// Disturbs messages from now on; keys stay exact.
    pub fn disturb(&self, disturbance: Disturbance) {
        let mut state = self.lock();
        state.random = disturbance.seed;
        state.disturbance = disturbance;
    }

    fn cut(&self, member: usize) {
        let mut state = self.lock();
        state.watches.retain(|watch| watch.member != member);
        if let Some(member) = state.members.get(member) {
            member.connection.send_replace(Connection::Down);
        }
    }

    fn heal(&self, member: usize) {
        let mut state = self.lock();
        state.connections += 1;
        let connection = Connection::Up(state.connections);
        if let Some(member) = state.members.get(member)
            && *member.connection.borrow() == Connection::Down
        {
            member.connection.send_replace(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubMember {
    /// Cuts this member off from the others and from all keys.
    pub fn cut(&self) {
        self.hub.cut(self.member);
    }

    /// Ends the cut.
    pub fn heal(&self) {
        self.hub.heal(self.member);
    }

    fn check(&self, state: &State) -> Result<()> {
        if state.is_up(self.member) {
            return Ok(());
        }
        Err(FleetError::Unavailable("cut off".to_owned()))
    }

    /// How many were sent the message.
    fn send(&self, message: &Message) -> Result<usize> {
        check_size(&message.body)?;
        let mut state = self.hub.lock();
        self.check(&state)?;
        state.subscriptions.retain(|each| !each.sender.is_closed());
        let receivers: Vec<_> = state
            .subscriptions
            .iter()
            .filter(|each| state.is_up(each.member) && covers(&each.filter, &message.subject))
            .map(|each| each.sender.clone())
            .collect();
        for receiver in &receivers {
            for delay in state.fates() {
                deliver(receiver.clone(), message.clone(), delay);
            }
        }
        Ok(receivers.len())
    }

    /// A subscription outlasts cuts.
    fn listen(&self, filter: String) -> mpsc::Receiver<Message> {
        let mut state = self.hub.lock();
        let (sender, receiver) = mpsc::channel(BACKLOG);
        state.subscriptions.push(Subscription {
            member: self.member,
            filter,
            sender,
        });
        receiver
    }

    fn read(&self, bucket: Bucket, key: &str) -> Result<Value> {
        let mut state = self.hub.lock();
        self.check(&state)?;
        Ok(state.value(bucket, key))
    }

    fn replace(
        &self,
        bucket: Bucket,
        key: String,
        body: Option<Vec<u8>>,
        expected: u64,
    ) -> Result<u64> {
        check_size(body.as_deref().unwrap_or_default())?;
        let mut state = self.hub.lock();
        self.check(&state)?;
        if state.value(bucket, &key).revision != expected {
            return Err(FleetError::Conflict(key));
        }
        state.revision += 1;
        let value = Value {
            body,
            revision: state.revision,
        };
        let told = Watched::Key {
            key: key.clone(),
            value: value.clone(),
        };
        state
            .watches
            .retain(|watch| watch.bucket != bucket.name || watch.sender.send(told.clone()).is_ok());
        let stored = Stored {
            value,
            written: Instant::now(),
        };
        state.keys(bucket).insert(key, stored);
        Ok(state.revision)
    }

    fn follow(&self, bucket: Bucket) -> Result<mpsc::UnboundedReceiver<Watched>> {
        let mut state = self.hub.lock();
        self.check(&state)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        for (key, stored) in state.keys(bucket) {
            // The receiver is in our hands: it cannot be closed yet.
            let _ = sender.send(Watched::Key {
                key: key.clone(),
                value: stored.value.clone(),
            });
        }
        let _ = sender.send(Watched::Listed);
        state.watches.push(Watch {
            member: self.member,
            bucket: bucket.name,
            sender,
        });
        Ok(receiver)
    }
}

impl State {
    fn is_up(&self, member: usize) -> bool {
        self.members
            .get(member)
            .is_some_and(|member| *member.connection.borrow() != Connection::Down)
    }

    /// The bucket without what has expired.
    fn keys(&mut self, bucket: Bucket) -> &mut BTreeMap<String, Stored> {
        let now = Instant::now();
        let keys = self.buckets.entry(bucket.name).or_default();
        keys.retain(|_, stored| now.duration_since(stored.written) < bucket.max_age);
        keys
    }

    fn value(&mut self, bucket: Bucket, key: &str) -> Value {
        let stored = self.keys(bucket).get(key);
        stored.map_or(
            Value {
                body: None,
                revision: 0,
            },
            |stored| stored.value.clone(),
        )
    }

    /// Delays of the copies of one message.
    fn fates(&mut self) -> Vec<Duration> {
        let disturbance = self.disturbance;
        if self.random_share() < disturbance.lost {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.random_share() < disturbance.duplicated);
        (0..copies)
            .map(|_| disturbance.delay.mul_f64(self.random_share()))
            .collect()
    }

    /// 0 to 1, by xorshift: faults need no better randomness, only the same for the same seed.
    fn random_share(&mut self) -> f64 {
        let mut bits = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits ^= bits >> 12;
        bits ^= bits << 25;
        bits ^= bits >> 27;
        self.random = bits;
        (bits.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Hands a message over, at once or later; a subscriber that is too far behind misses it.
fn deliver(receiver: mpsc::Sender<Message>, message: Message, delay: Duration) {
    if delay.is_zero() {
        let _ = receiver.try_send(message);
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = receiver.try_send(message);
    });
}

/// A channel as a stream.
fn stream_of<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> BoxStream<'static, T> {
    stream::unfold(receiver, |mut receiver| async move {
        let item = receiver.recv().await?;
        Some((item, receiver))
    })
    .boxed()
}

impl Backbone for HubMember {
    fn connection(&self) -> watch::Receiver<Connection> {
        let state = self.hub.lock();
        match state.members.get(self.member) {
            Some(member) => member.connection.subscribe(),
            None => watch::channel(Connection::Down).1,
        }
    }

    fn publish(&self, message: Message) -> BoxFuture<'_, Result<()>> {
        ready(self.send(&message).map(|_| ())).boxed()
    }

    fn subscribe(&self, filter: String) -> BoxFuture<'_, Result<BoxStream<'static, Message>>> {
        ready(Ok(stream_of(self.listen(filter)))).boxed()
    }

    fn request(
        &self,
        subject: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<u8>>> {
        async move {
            let inbox = {
                let mut state = self.hub.lock();
                state.inboxes += 1;
                format!("_INBOX.{}", state.inboxes)
            };
            let mut answers = self.listen(inbox.clone());
            let sent = self.send(&Message {
                subject: subject.clone(),
                reply: Some(inbox),
                body,
            })?;
            if sent == 0 {
                return Err(FleetError::NoSuchNode(subject));
            }
            match tokio::time::timeout(timeout, answers.recv()).await {
                Ok(Some(answer)) => Ok(answer.body),
                _ => Err(FleetError::TimedOut(timeout)),
            }
        }
        .boxed()
    }

    fn get(&self, bucket: Bucket, key: String) -> BoxFuture<'_, Result<Value>> {
        ready(self.read(bucket, &key)).boxed()
    }

    fn write(
        &self,
        bucket: Bucket,
        key: String,
        body: Option<Vec<u8>>,
        expected: u64,
    ) -> BoxFuture<'_, Result<u64>> {
        ready(self.replace(bucket, key, body, expected)).boxed()
    }

    fn watch(&self, bucket: Bucket) -> BoxFuture<'_, Result<BoxStream<'static, Watched>>> {
        let followed = self.follow(bucket).map(|receiver| {
            stream::unfold(receiver, |mut receiver| async move {
                let item = receiver.recv().await?;
                Some((item, receiver))
            })
            .boxed()
        });
        ready(followed).boxed()
    }
}
