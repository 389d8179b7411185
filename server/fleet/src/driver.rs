//! The task that feeds the cores: hears notices, keeps time, writes the bucket of rooms, and publishes what is known.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::backbone::{Backbone, Bucket, Connection, Message, Value, Watched};
use crate::directory::{Action, Directory, Outcome, RoomEvent};
use crate::fleet::{FleetEvent, Snapshot, State};
use crate::registry::{EdgeBeat, NodeEvent, Own, Patience, Registry, Why, Withdrawal};
use crate::wire::{self, Notice};
use crate::{
    EdgeRecord, FleetError, NodeId, NodeRecord, Opened, RoomEntry, RoomName, RoomSpec, Vector,
};

/// Where rooms are. The age frees what nobody refreshes, such as marks of deletion.
const ROOMS: Bucket = Bucket {
    name: "rooms",
    max_age: Duration::from_secs(2 * 3600),
};
/// How often the cores are given the time.
const TICK: Duration = Duration::from_millis(100);
/// A backbone that has not come by then after the start is away.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);
/// How long sending a notice may hold the task up.
const SENDING: Duration = Duration::from_millis(200);
/// Commands and answers that may wait for the task.
const QUEUE: usize = 4096;
/// Wait between two attempts to follow the bucket of rooms.
const RETRY: Duration = Duration::from_millis(500);
/// Changes of rooms taken in one turn.
const BATCH: usize = 256;

/// What handles ask of the task.
pub(crate) enum Command {
    Announce(Box<NodeRecord>),
    AnnounceEdge(Box<EdgeRecord>),
    Leave(oneshot::Sender<()>),
    Withdraw(NodeId, String),
    Restore(NodeId),
    Vector(Vector),
    Open(Box<RoomSpec>, oneshot::Sender<Opened>),
    Settle(RoomName),
    Close(RoomName),
    Metadata(RoomName, serde_json::Value),
}

/// What the task begins with.
pub(crate) struct Start {
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) prefix: String,
    pub(crate) me: NodeId,
    pub(crate) run: u64,
    pub(crate) holds_rooms: bool,
    pub(crate) patience: Patience,
    pub(crate) state: Arc<State>,
}

/// What comes back from the backbone.
enum Heard {
    Rooms(RoomsHeard),
    Written(RoomName, Outcome),
    Read(RoomName, Result<Value, FleetError>),
}

enum RoomsHeard {
    Listed(BTreeMap<RoomName, (Option<RoomEntry>, u64)>),
    Changed(RoomName, Option<Box<RoomEntry>>, u64),
    Ended,
}

struct Driver {
    start: Start,
    began: Instant,
    registry: Registry,
    directory: Directory,
    own: Option<Own>,
    edge: Option<(EdgeBeat, Duration)>,
    opening: BTreeMap<RoomName, Vec<oneshot::Sender<Opened>>>,
    connected: Connection,
    /// Events of [`FleetEvent::Reconnected`] wait for the list of rooms.
    returning: bool,
    was_connected: bool,
    dirty: bool,
    heard: mpsc::Sender<Heard>,
}

/// Starts the task; it ends when all senders of commands are gone.
pub(crate) fn spawn(start: Start) -> mpsc::Sender<Command> {
    let (sender, commands) = mpsc::channel(QUEUE);
    let (heard, hearing) = mpsc::channel(QUEUE);
    let driver = Driver {
        began: Instant::now(),
        registry: Registry::new(start.patience),
        directory: Directory::new(start.me.clone()),
        own: None,
        edge: None,
        opening: BTreeMap::new(),
        connected: Connection::Down,
        returning: false,
        was_connected: false,
        dirty: true,
        heard,
        start,
    };
    tokio::spawn(driver.run(commands, hearing));
    sender
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut hearing: mpsc::Receiver<Heard>,
    ) {
        let mut notices = self.subscribe().await;
        let mut connection = self.start.backbone.connection();
        let follower = self.start.holds_rooms.then(|| {
            let backbone = Arc::clone(&self.start.backbone);
            tokio::spawn(follow_rooms(backbone, self.heard.clone()))
        });
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = *connection.borrow_and_update();
        self.connection(first).await;
        loop {
            tokio::select! {
                biased;
                changed = connection.changed() => {
                    let state = *connection.borrow_and_update();
                    match changed {
                        Ok(()) => self.connection(state).await,
                        Err(_) => {
                            // The backbone is gone for good: go on with what is known, without spinning.
                            self.connection(Connection::Down).await;
                            sleep(TICK).await;
                        }
                    }
                }
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                heard = hearing.recv() => {
                    if let Some(heard) = heard {
                        self.hear(heard);
                        for _ in 1..BATCH {
                            let Ok(heard) = hearing.try_recv() else { break };
                            self.hear(heard);
                        }
                    }
                }
                notice = notices.next() => match notice {
                    Some(message) => {
                        if let Some(notice) = wire::decode(&message.body) {
                            self.notice(notice);
                        }
                    }
                    None => {
                        sleep(RETRY).await;
                        notices = self.subscribe().await;
                    }
                },
                _ = ticks.tick() => self.tick().await,
            }
            self.act();
        }
        if let Some(follower) = follower {
            follower.abort();
        }
    }

    async fn subscribe(&self) -> BoxStream<'static, Message> {
        loop {
            let filter = wire::notices(&self.start.prefix);
            match self.start.backbone.subscribe(filter).await {
                Ok(messages) => return messages,
                Err(error) => {
                    tracing::debug!(%error, "cannot hear the fleet yet");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn connection(&mut self, state: Connection) {
        let before = std::mem::replace(&mut self.connected, state);
        if state == before {
            return;
        }
        let now = self.now();
        if before != Connection::Down {
            tracing::warn!("fleet: out of reach; what runs goes on");
            self.registry.disconnected();
            self.directory.disconnected();
            self.publish();
            let _ = self.start.state.events.send(FleetEvent::Disconnected);
        }
        if state != Connection::Down {
            tracing::info!("fleet: connected");
            self.registry.connected(now);
            self.directory.connected();
            if let Some(own) = &mut self.own {
                own.speak_soon(now);
            }
            self.send(&Notice::WhoIsThere).await;
            self.returning = self.was_connected;
            self.was_connected = true;
            if !self.start.holds_rooms {
                self.returned();
            }
            self.dirty = true;
        }
    }

    fn is_up(&self) -> bool {
        self.connected != Connection::Down
    }

    fn returned(&mut self) {
        if std::mem::take(&mut self.returning) {
            self.publish();
            let _ = self.start.state.events.send(FleetEvent::Reconnected);
        }
    }

    async fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Announce(record) => match &mut self.own {
                Some(own) => own.set(now, *record),
                None => self.own = Some(Own::new(*record, self.start.run)),
            },
            Command::AnnounceEdge(record) => self.announce_edge(now, *record),
            Command::Leave(done) => {
                if let Some(own) = &mut self.own {
                    let withdrawal = own.leave();
                    self.registry.withdrawn(now, &withdrawal);
                    self.send(&Notice::Withdrawn(withdrawal)).await;
                }
                self.edge = None;
                self.directory.close_all(now);
                for room in self.directory.rooms().map(|room| room.name.clone()) {
                    self.show_room(&room);
                }
                let _ = done.send(());
            }
            Command::Withdraw(node, reason) => {
                let withdrawal = Withdrawal {
                    epoch: self.registry.epoch(&node).unwrap_or(0),
                    node,
                    why: Why::Unresponsive(reason),
                };
                self.registry.withdrawn(now, &withdrawal);
                self.send(&Notice::Withdrawn(withdrawal)).await;
            }
            Command::Restore(node) => {
                let epoch = self.registry.epoch(&node).unwrap_or(0);
                self.send(&Notice::Restored { node, epoch }).await;
            }
            Command::Vector(vector) => {
                self.registry.vector(now, vector.clone());
                self.dirty = true;
                self.send(&Notice::Vector(vector)).await;
            }
            Command::Open(spec, answer) => {
                self.opening
                    .entry(spec.name.clone())
                    .or_default()
                    .push(answer);
                self.directory.open(now, &spec);
            }
            Command::Settle(room) => self.directory.settle(&room),
            Command::Close(room) => {
                self.directory.close(now, &room);
                self.show_room(&room);
            }
            Command::Metadata(room, metadata) => {
                self.directory.set_metadata(now, &room, metadata);
            }
        }
    }

    fn announce_edge(&mut self, now: Duration, record: EdgeRecord) {
        let (number, due) = match &self.edge {
            Some((beat, due)) => (beat.number, *due),
            None => (0, now),
        };
        let news = self.edge.as_ref().is_none_or(|(beat, _)| {
            let before = &beat.record;
            (before.ready, before.draining) != (record.ready, record.draining)
        });
        let beat = EdgeBeat {
            run: self.start.run,
            number,
            record,
        };
        self.edge = Some((beat, if news { now } else { due }));
    }

    fn notice(&mut self, notice: Notice) {
        let now = self.now();
        self.dirty = true;
        match notice {
            Notice::Node(beat) => {
                if let Some(own) = &mut self.own
                    && beat.record.id == self.start.me
                {
                    own.heard_other(now, beat.epoch, beat.number);
                }
                self.registry.heartbeat(now, beat);
            }
            Notice::Edge(beat) => self.registry.edge_beat(now, beat),
            Notice::Vector(vector) => self.registry.vector(now, vector),
            Notice::Withdrawn(withdrawal) => {
                if let Some(own) = &mut self.own
                    && withdrawal.node == self.start.me
                {
                    own.withdrawn(now, &withdrawal, self.start.patience);
                }
                self.registry.withdrawn(now, &withdrawal);
            }
            Notice::Restored { node, epoch } => {
                if let Some(own) = &mut self.own
                    && node == self.start.me
                {
                    own.restored(now, epoch);
                }
            }
            Notice::WhoIsThere => {
                if let Some(own) = &mut self.own {
                    own.speak_soon(now);
                }
                if let Some((_, due)) = &mut self.edge {
                    *due = now;
                }
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.now();
        self.registry.poll(now);
        let held = self.own.as_ref().is_some_and(|own| own.is_held(now));
        self.directory.suspend(now, held);
        if !self.is_up() && now > FIRST_CONNECTION {
            self.directory.disconnected();
        }
        if let Some(beat) = self.own.as_mut().and_then(|own| own.poll(now)) {
            self.registry.heartbeat(now, beat.clone());
            self.send(&Notice::Node(beat)).await;
            // Once a second is often enough to look for what was missed.
            self.directory.poll(now);
        }
        if let Some((beat, due)) = &mut self.edge
            && now >= *due
        {
            beat.number += 1;
            *due = now + Duration::from_secs(1);
            let beat = beat.clone();
            self.registry.edge_beat(now, beat.clone());
            self.send(&Notice::Edge(beat)).await;
        }
        if self.dirty {
            self.publish();
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.now();
        match heard {
            // A list that was under way when the connection went: the next one tells.
            Heard::Rooms(_) if !self.is_up() => {}
            Heard::Rooms(RoomsHeard::Listed(rooms)) => {
                // Every node answers the question who is there within a heartbeat; one more for the way.
                let judge_after = self.start.patience.stale;
                self.directory.listed(now, rooms, judge_after);
                self.returned();
            }
            Heard::Rooms(RoomsHeard::Changed(room, entry, revision)) => {
                let entry = entry.map(|entry| *entry);
                self.directory.changed(now, &room, entry, revision);
            }
            Heard::Rooms(RoomsHeard::Ended) => self.directory.disconnected(),
            Heard::Written(room, outcome) => self.directory.written(now, &room, outcome),
            Heard::Read(room, Ok(value)) => {
                let entry = entry_of(&room, &value);
                self.directory.read(now, &room, entry, value.revision);
            }
            // The next look tries again.
            Heard::Read(_, Err(_)) => {}
        }
    }

    /// Carries out what the cores have decided.
    fn act(&mut self) {
        let mut nodes = Vec::new();
        while let Some(event) = self.registry.poll_event() {
            let now = self.now();
            match &event {
                NodeEvent::Joined(view) => self.directory.node_joined(view.record.id.clone()),
                NodeEvent::Lost { id, .. } => self.directory.node_lost(now, id.clone()),
                NodeEvent::Changed(_) | NodeEvent::Restarted(_) => {}
            }
            nodes.push(event);
        }
        if !nodes.is_empty() {
            self.publish();
        }
        for event in nodes {
            // Nobody listening is no failure, here and below.
            let _ = self.start.state.events.send(FleetEvent::Node(event));
        }
        while let Some(action) = self.directory.poll_action() {
            match action {
                Action::Write {
                    room,
                    entry,
                    expected,
                } => self.write(room, entry.as_ref(), expected),
                Action::Read(room) => self.read(room),
                Action::Opened(opened) => {
                    self.show_room(&opened.entry.name);
                    for answer in self.opening.remove(&opened.entry.name).unwrap_or_default() {
                        let _ = answer.send(opened.clone());
                    }
                }
                Action::Event(event) => {
                    let name = match &event {
                        RoomEvent::Changed(entry) => &entry.name,
                        RoomEvent::Gone(name) => name,
                        RoomEvent::Superseded { winner, .. } => &winner.name,
                    };
                    self.show_room(name);
                    let _ = self.start.state.events.send(FleetEvent::Room(event));
                }
            }
        }
    }

    fn write(&self, room: RoomName, entry: Option<&RoomEntry>, expected: u64) {
        let body = entry.map(wire::encode);
        let (backbone, heard) = (Arc::clone(&self.start.backbone), self.heard.clone());
        tokio::spawn(async move {
            let written = backbone.write(ROOMS, room.to_key(), body, expected).await;
            let outcome = match written {
                Ok(revision) => Outcome::Done(revision),
                Err(FleetError::Conflict(_)) => Outcome::Conflict,
                Err(error) => {
                    tracing::debug!(%room, %error, "room not written yet");
                    Outcome::Unavailable
                }
            };
            let _ = heard.send(Heard::Written(room, outcome)).await;
        });
    }

    fn read(&self, room: RoomName) {
        let (backbone, heard) = (Arc::clone(&self.start.backbone), self.heard.clone());
        tokio::spawn(async move {
            let read = backbone.get(ROOMS, room.to_key()).await;
            let _ = heard.send(Heard::Read(room, read)).await;
        });
    }

    async fn send(&self, notice: &Notice) {
        if !self.is_up() {
            return;
        }
        let message = Message {
            subject: notice.subject(&self.start.prefix),
            reply: None,
            body: wire::encode(notice),
        };
        match timeout(SENDING, self.start.backbone.publish(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "notice not sent"),
            Err(_) => tracing::debug!("notice not sent in time"),
        }
    }

    fn show_room(&self, name: &RoomName) {
        let rooms = &self.start.state.rooms;
        let mut rooms = rooms.write().unwrap_or_else(PoisonError::into_inner);
        match self.directory.room(name) {
            Some(entry) => rooms.insert(name.clone(), entry),
            None => rooms.remove(name),
        };
    }

    fn publish(&mut self) {
        self.dirty = false;
        let now = self.now();
        let views = self.registry.views(now);
        let edges = self.registry.edges().cloned();
        let snapshot = Snapshot {
            connected: self.is_up(),
            nodes: views
                .map(|view| (view.record.id.clone(), Arc::new(view)))
                .collect(),
            edges: edges.map(|edge| (edge.node.clone(), edge)).collect(),
            paths: Arc::new(self.registry.paths()),
        };
        self.start.state.nodes.send_replace(Arc::new(snapshot));
    }
}

/// Lists and follows the bucket of rooms, again and again.
async fn follow_rooms(backbone: Arc<dyn Backbone>, heard: mpsc::Sender<Heard>) {
    let mut connection = backbone.connection();
    loop {
        let up = connection
            .wait_for(|state| *state != Connection::Down)
            .await;
        let Ok(up) = up.map(|state| *state) else {
            return;
        };
        tokio::select! {
            result = follow_once(&*backbone, &heard) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "cannot follow the rooms yet");
                }
            }
            // A watch that outlives a reconnect may have missed changes: begin anew.
            _ = connection.wait_for(|state| *state != up) => {}
        }
        if heard.send(Heard::Rooms(RoomsHeard::Ended)).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

async fn follow_once(
    backbone: &dyn Backbone,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), FleetError> {
    let mut watch = backbone.watch(ROOMS).await?;
    let mut listing = Some(BTreeMap::new());
    while let Some(watched) = watch.next().await {
        let news = match (watched, &mut listing) {
            (Watched::Listed, listing) => match listing.take() {
                Some(rooms) => RoomsHeard::Listed(rooms),
                None => continue,
            },
            (Watched::Key { key, value }, listing) => {
                let Some(room) = RoomName::from_key(&key) else {
                    continue;
                };
                let entry = entry_of(&room, &value);
                match listing {
                    Some(rooms) => {
                        rooms.insert(room, (entry, value.revision));
                        continue;
                    }
                    None => RoomsHeard::Changed(room, entry.map(Box::new), value.revision),
                }
            }
        };
        if heard.send(Heard::Rooms(news)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The entry in a value; what cannot be read, or is no entry of that room, counts as none and is replaced.
fn entry_of(room: &RoomName, value: &Value) -> Option<RoomEntry> {
    let entry: RoomEntry = wire::decode(value.body.as_deref()?)?;
    (entry.name == *room && entry.replicas.contains(&entry.home)).then_some(entry)
}
