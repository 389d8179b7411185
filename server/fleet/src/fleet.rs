//! The handle that servers and edge agents hold.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::backbone::{Backbone, Bucket, Message, Result, Value, Watched};
use crate::directory::RoomEvent;
use crate::driver::{self, Command, Start};
use crate::id::is_token;
use crate::registry::{NodeEvent, Patience};
use crate::{
    EdgeRecord, FleetError, Hub, Nats, NatsSettings, NodeId, NodeRecord, NodeView, Opened, Paths,
    RoomEntry, RoomName, RoomSpec, Vector, wire,
};

/// How long opening a room waits for the fleet to agree before it goes on provisionally.
const OPENING: Duration = Duration::from_secs(1);
/// Characters of a key.
const MAX_KEY: usize = 200;

/// A member of the fleet. Cheap to clone; the membership ends with the last clone.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

/// What the driver and the handles share.
pub(crate) struct Shared {
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) prefix: String,
    pub(crate) me: NodeId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) state: Arc<State>,
}

/// What the driver publishes.
pub(crate) struct State {
    pub(crate) nodes: watch::Sender<Arc<Snapshot>>,
    pub(crate) rooms: RwLock<BTreeMap<RoomName, Arc<RoomEntry>>>,
    pub(crate) events: broadcast::Sender<FleetEvent>,
}

/// The nodes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether the backbone is there; if not, this is what was known when it went.
    pub connected: bool,
    /// Nodes that live, this one among them.
    pub nodes: BTreeMap<NodeId, Arc<NodeView>>,
    /// What edge agents say, also of nodes whose server does not live.
    pub edges: BTreeMap<NodeId, EdgeRecord>,
    /// Measurements between edges.
    pub paths: Arc<Paths>,
}

/// What a member of the fleet is told.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetEvent {
    Node(NodeEvent),
    Room(RoomEvent),
    /// The backbone is gone: go on.
    Disconnected,
    /// The backbone is back, and all rooms have been listed and announced again.
    Reconnected,
    /// The reader was too slow and has missed events: read [`Fleet::snapshot`] and [`Fleet::rooms`] anew.
    Missed,
}

impl Fleet {
    /// A fleet of one node, with nothing outside the process. Call it within a tokio runtime.
    #[must_use]
    pub fn alone(me: NodeId, run: u64) -> Self {
        Self::over(Hub::new().member(), "tradewind", me, run)
    }

    /// A server's membership over NATS. `run` tells this run of the node from earlier ones: milliseconds since 1970.
    ///
    /// # Errors
    /// [`FleetError::Settings`]. That NATS is away is no error: the fleet joins when it comes.
    pub async fn nats(settings: &NatsSettings, me: NodeId, run: u64) -> Result<Self> {
        let backbone = Nats::connect(settings).await?;
        Ok(Self::over(backbone, &settings.prefix, me, run))
    }

    /// A server's membership over any backbone. Call it within a tokio runtime.
    #[must_use]
    pub fn over(backbone: Arc<dyn Backbone>, prefix: &str, me: NodeId, run: u64) -> Self {
        Self::start(backbone, prefix, me, run, true)
    }

    /// The membership of an edge agent beside node `me`: it holds no rooms and knows of none.
    #[must_use]
    pub fn agent(backbone: Arc<dyn Backbone>, prefix: &str, me: NodeId, run: u64) -> Self {
        Self::start(backbone, prefix, me, run, false)
    }

    fn start(
        backbone: Arc<dyn Backbone>,
        prefix: &str,
        me: NodeId,
        run: u64,
        holds_rooms: bool,
    ) -> Self {
        let state = Arc::new(State {
            nodes: watch::Sender::new(Arc::default()),
            rooms: RwLock::default(),
            events: broadcast::Sender::new(4096),
        });
        let commands = driver::spawn(Start {
            backbone: Arc::clone(&backbone),
            prefix: prefix.to_owned(),
            me: me.clone(),
            run,
            holds_rooms,
            patience: Patience::default(),
            state: Arc::clone(&state),
        });
        Self {
            shared: Arc::new(Shared {
                backbone,
                prefix: prefix.to_owned(),
                me,
                commands,
                state,
            }),
        }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> &NodeId {
        &self.shared.me
    }

    // ---- Nodes

    /// Announces this node, and each later time replaces what it says. Load goes out with the next heartbeat, anything
    /// else at once.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`] if the fleet's own task is overloaded or gone.
    pub fn announce(&self, record: NodeRecord) -> Result<()> {
        self.tell(Command::Announce(Box::new(record)))
    }

    /// As [`Self::announce`], for the edge agent beside this node.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub fn announce_edge(&self, record: EdgeRecord) -> Result<()> {
        self.tell(Command::AnnounceEdge(Box::new(record)))
    }

    /// Tells all others that this node leaves. Rooms it still holds get another home.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.tell(Command::Leave(done)).is_ok() {
            // A backbone that is away cannot be told; the others notice by the silence.
            let _ = timeout(OPENING, left).await;
        }
    }

    /// Withdraws what a node has announced, because it no longer answers. Say it again at least once a second: a
    /// server that hears no more of it for three seconds announces itself again.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub fn withdraw(&self, node: NodeId, reason: impl Into<String>) -> Result<()> {
        self.tell(Command::Withdraw(node, reason.into()))
    }

    /// Ends a withdrawal: the node announces itself at once, under a higher epoch.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub fn restore(&self, node: NodeId) -> Result<()> {
        self.tell(Command::Restore(node))
    }

    /// Publishes what this edge has measured to the others; lasts ten seconds.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub fn publish_vector(&self, vector: Vector) -> Result<()> {
        self.tell(Command::Vector(vector))
    }

    /// The nodes now; costs one reference count.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.state.nodes.borrow())
    }

    /// One node now.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<Arc<NodeView>> {
        self.snapshot().nodes.get(id).cloned()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.shared.state.events.subscribe())
    }

    // ---- Rooms

    /// Opens a room on this node: claims it, or joins those who have it; if it is open here, just looks it up. Waits at
    /// most a second for the fleet, then goes on provisionally.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`] if the fleet's own task is overloaded or gone.
    pub async fn open_room(&self, spec: RoomSpec) -> Result<Opened> {
        let (sender, answer) = oneshot::channel();
        let name = spec.name.clone();
        self.tell(Command::Open(Box::new(spec), sender))?;
        let mut answer = answer;
        if let Ok(opened) = timeout(OPENING, &mut answer).await {
            return opened.map_err(|_| gone());
        }
        self.tell(Command::Settle(name))?;
        answer.await.map_err(|_| gone())
    }

    /// Closes a room on this node: its last participant has left.
    ///
    /// # Errors
    /// As [`Self::open_room`].
    pub fn close_room(&self, name: RoomName) -> Result<()> {
        self.tell(Command::Close(name))
    }

    /// Replaces the metadata of a room that is open on this node.
    ///
    /// # Errors
    /// As [`Self::open_room`].
    pub fn set_room_metadata(&self, name: RoomName, metadata: serde_json::Value) -> Result<()> {
        self.tell(Command::Metadata(name, metadata))
    }

    /// A room on any node.
    #[must_use]
    pub fn room(&self, name: &RoomName) -> Option<Arc<RoomEntry>> {
        self.rooms_now().get(name).cloned()
    }

    /// All rooms on all nodes, by name.
    #[must_use]
    pub fn rooms(&self) -> Vec<Arc<RoomEntry>> {
        self.rooms_now().values().cloned().collect()
    }

    fn rooms_now(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<RoomName, Arc<RoomEntry>>> {
        let rooms = &self.shared.state.rooms;
        rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- Messages

    /// Asks a node for something and waits for its answer.
    ///
    /// # Errors
    /// [`FleetError::NoSuchNode`] if it serves no such requests, [`FleetError::TimedOut`],
    /// [`FleetError::Unavailable`], [`FleetError::TooLarge`].
    pub async fn request(
        &self,
        node: &NodeId,
        service: &str,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<Vec<u8>> {
        check_token("service", service)?;
        let subject = wire::service(&self.shared.prefix, node.as_str(), service);
        let answer = self.shared.backbone.request(subject, body, patience).await;
        answer.map_err(|error| match error {
            FleetError::NoSuchNode(_) => FleetError::NoSuchNode(node.to_string()),
            other => other,
        })
    }

    /// Takes requests that other nodes make of this one.
    ///
    /// # Errors
    /// [`FleetError::Name`], [`FleetError::Unavailable`].
    pub async fn serve(&self, service: &str) -> Result<Requests> {
        check_token("service", service)?;
        let subject = wire::service(&self.shared.prefix, self.shared.me.as_str(), service);
        Ok(Requests {
            messages: self.shared.backbone.subscribe(subject).await?,
            backbone: Arc::clone(&self.shared.backbone),
        })
    }

    /// Tells every member that is subscribed to `topic` now.
    ///
    /// # Errors
    /// [`FleetError::Name`], [`FleetError::Unavailable`], [`FleetError::TooLarge`].
    pub async fn publish(&self, topic: &str, body: Vec<u8>) -> Result<()> {
        check_token("topic", topic)?;
        let message = Message {
            subject: wire::topic(&self.shared.prefix, topic),
            reply: None,
            body,
        };
        self.shared.backbone.publish(message).await
    }

    /// What is published on `topic` from now on, by this node too.
    ///
    /// # Errors
    /// [`FleetError::Name`], [`FleetError::Unavailable`].
    pub async fn subscribe(&self, topic: &str) -> Result<Messages> {
        check_token("topic", topic)?;
        let filter = wire::topic(&self.shared.prefix, topic);
        Ok(Messages(self.shared.backbone.subscribe(filter).await?))
    }

    // ---- Keys

    /// Reads a key.
    ///
    /// # Errors
    /// [`FleetError::Name`], [`FleetError::Unavailable`].
    pub async fn get(&self, bucket: Bucket, key: &str) -> Result<Value> {
        check_key(key)?;
        self.shared.backbone.get(bucket, key.to_owned()).await
    }

    /// Writes a key if its revision still is `expected` (0 = never written), and returns the new revision.
    ///
    /// # Errors
    /// [`FleetError::Conflict`], [`FleetError::Name`], [`FleetError::Unavailable`], [`FleetError::TooLarge`].
    pub async fn put(
        &self,
        bucket: Bucket,
        key: &str,
        body: Vec<u8>,
        expected: u64,
    ) -> Result<u64> {
        check_key(key)?;
        let writing = self
            .shared
            .backbone
            .write(bucket, key.to_owned(), Some(body), expected);
        writing.await
    }

    /// Deletes a key if its revision still is `expected`.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn delete(&self, bucket: Bucket, key: &str, expected: u64) -> Result<u64> {
        check_key(key)?;
        let writing = self
            .shared
            .backbone
            .write(bucket, key.to_owned(), None, expected);
        writing.await
    }

    /// All keys of a bucket, [`Watched::Listed`], then changes. It ends when the backbone goes away: watch again after
    /// [`FleetEvent::Reconnected`].
    ///
    /// # Errors
    /// [`FleetError::Unavailable`].
    pub async fn watch(&self, bucket: Bucket) -> Result<BoxStream<'static, Watched>> {
        self.shared.backbone.watch(bucket).await
    }

    fn tell(&self, command: Command) -> Result<()> {
        self.shared.commands.try_send(command).map_err(|_| gone())
    }
}

/// Events, oldest first.
pub struct Events(broadcast::Receiver<FleetEvent>);

impl Events {
    /// The next event; `None` when the membership has ended. May be cancelled.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(FleetEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Messages of a topic.
pub struct Messages(BoxStream<'static, Message>);

impl Messages {
    /// The next message; `None` when the backbone has been given up. May be cancelled.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.0.next().await?.body)
    }
}

/// Requests of other nodes.
pub struct Requests {
    messages: BoxStream<'static, Message>,
    backbone: Arc<dyn Backbone>,
}

impl Requests {
    /// The next request; `None` when the backbone has been given up. May be cancelled.
    pub async fn next(&mut self) -> Option<Request> {
        loop {
            let message = self.messages.next().await?;
            if let Some(reply) = message.reply {
                return Some(Request {
                    body: message.body,
                    reply,
                    backbone: Arc::clone(&self.backbone),
                });
            }
        }
    }
}

/// A request that waits for its answer.
pub struct Request {
    pub body: Vec<u8>,
    reply: String,
    backbone: Arc<dyn Backbone>,
}

impl Request {
    /// Answers it.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`], [`FleetError::TooLarge`]; the asking node then times out.
    pub async fn answer(self, body: Vec<u8>) -> Result<()> {
        let message = Message {
            subject: self.reply,
            reply: None,
            body,
        };
        self.backbone.publish(message).await
    }
}

fn gone() -> FleetError {
    FleetError::Unavailable("the fleet's task is overloaded or has ended".to_owned())
}

fn check_token(what: &'static str, text: &str) -> Result<()> {
    if is_token(text) {
        return Ok(());
    }
    Err(FleetError::Name {
        what,
        text: text.chars().take(MAX_KEY).collect(),
        advice: "use 1 to 64 letters, digits, - and _",
    })
}

fn check_key(key: &str) -> Result<()> {
    if key.len() <= MAX_KEY && key.split('.').all(is_token) {
        return Ok(());
    }
    Err(FleetError::Name {
        what: "key",
        text: key.chars().take(MAX_KEY).collect(),
        advice: "use parts of 1 to 64 letters, digits, - and _, joined by dots, at most 200 bytes",
    })
}
