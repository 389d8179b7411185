//! This node among others: what it announces, which rooms it shares with whom, and what travels between them.
//!
//! One task owns all decisions about shared rooms ([`rooms`]) and hears of the shards, the links and the fleet in one
//! order. Media takes no part in it: [`links`] hands packets from shard threads to the relay and back.

mod admin;
mod calls;
mod envelope;
mod flow;
mod links;
mod once;
mod packet;
mod peers;
mod record;
mod rooms;
mod task;
mod view;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tradewind_fleet::{Fleet, NatsSettings, NodeId, RoomName as FleetRoom, RoomSpec};
use tradewind_relay::{Relay, RelayConfig, RelayHandle};
use tradewind_rtc::replica::{ReplicaMessage, RoomRecord};
use tradewind_rtc::{AdminReply, AdminRequest, PeerId, RoomConfig, RoomName};

use self::links::Arrivals;
use self::peers::Peers;
use self::task::Task;
use crate::clock::unix_ms;
use crate::config::Settings;
use crate::node::{Node, NodeError};
use crate::random;

pub(crate) use calls::{Claims, Sharing};
pub(crate) use flow::MAX_SHARDS;
pub(crate) use links::Links;
pub(crate) use once::once;
pub(crate) use view::FleetNodes;

/// Relay events that may wait: the relay offers them again if there is no room.
const EVENT_QUEUE: usize = 4_096;

/// What the node tells the cluster, in order.
#[derive(Debug)]
pub(crate) enum ClusterInput {
    /// A room began on a shard.
    Started { room: RoomName, shard: usize },
    /// A room ended on a shard.
    Finished { room: RoomName, shard: usize },
    /// For the peer's replica of the room.
    Replica {
        shard: usize,
        room: RoomName,
        peer: PeerId,
        message: Box<ReplicaMessage>,
    },
}

/// The node's membership in the fleet. It ends when dropped.
pub(crate) struct Cluster {
    fleet: Fleet,
    room_defaults: RoomConfig,
    inputs: mpsc::UnboundedSender<ClusterInput>,
    links: Arc<Links>,
    tasks: Vec<AbortHandle>,
    /// Keeps the links up.
    _relay: Option<Relay>,
}

impl Cluster {
    /// Joins the fleet that the settings name; alone if they name none.
    ///
    /// # Errors
    /// A certificate or address of the links, or the settings of the fleet, cannot be used.
    pub(crate) async fn start(settings: &Settings, node: &Node) -> anyhow::Result<Self> {
        let me: NodeId = settings.node.id.parse().context("node.id")?;
        let run = unix_ms();
        let (events, relay_events) = mpsc::channel(EVENT_QUEUE);
        let peers = Arc::new(Peers::new(&me));
        let shards = node.shards();
        let (fleet, relay) = if settings.fleet.nats.is_empty() {
            (Fleet::alone(me.clone(), run), None)
        } else {
            let arrivals = Arrivals {
                peers: peers.clone(),
                shards: shards.clone(),
                events,
            };
            let relay = Relay::start(relay_config(settings)?, Arc::new(arrivals))?;
            let nats = nats_settings(settings);
            (Fleet::nats(&nats, me.clone(), run).await?, Some(relay))
        };
        let handle: Option<RelayHandle> = relay.as_ref().map(|relay| relay.handle().clone());
        let links = Arc::new(Links::new(me, peers.clone(), shards, handle.clone()));
        let (inputs, input_queue) = mpsc::unbounded_channel();
        let task = Task::new(
            fleet.clone(),
            handle,
            peers,
            node.downgrade(),
            settings,
            run,
        );
        let tasks = vec![
            tokio::spawn(task.run(input_queue, relay_events)).abort_handle(),
            tokio::spawn(admin::serve(fleet.clone(), node.downgrade())).abort_handle(),
        ];
        Ok(Self {
            fleet,
            room_defaults: node.room_defaults(),
            inputs,
            links,
            tasks,
            _relay: relay,
        })
    }

    /// The way out of shards for relayed media.
    pub(crate) fn links(&self) -> Arc<Links> {
        self.links.clone()
    }

    /// Where the node's news go.
    pub(crate) fn inputs(&self) -> mpsc::UnboundedSender<ClusterInput> {
        self.inputs.clone()
    }

    /// What the fleet knows.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Whether a node of the fleet has the room.
    pub(crate) fn knows(&self, room: &RoomName) -> bool {
        let name = room.as_str().parse().ok();
        name.is_some_and(|name| self.fleet.room(&name).is_some())
    }

    /// Opens a room that has no replica here: gives the record it has elsewhere, or that of a new room.
    ///
    /// Waits for the fleet, but no longer than a second: without it, a room is opened here and merged with its namesakes
    /// once they are found.
    pub(crate) async fn open(
        &self,
        room: &RoomName,
        config: Option<&RoomConfig>,
    ) -> Option<RoomRecord> {
        let record = RoomRecord {
            sid: format!("RM_{}", random::text(12)).as_str().into(),
            created_at_ms: unix_ms(),
            config: config.unwrap_or(&self.room_defaults).clone(),
            version: 0,
        };
        let spec = room_spec(room, &record)?;
        match self.fleet.open_room(spec).await {
            Ok(opened) => record::of(&opened.entry).or(Some(record)),
            Err(error) => {
                tracing::warn!(%room, %error, "the fleet was not told of a room; it will be tried again");
                Some(record)
            }
        }
    }

    /// Runs a server API call on a room that has no replica here.
    ///
    /// # Errors
    /// No node has the room, none of those that have it answers, or what the answer says.
    pub(crate) async fn admin_elsewhere(
        &self,
        room: &RoomName,
        request: &AdminRequest,
    ) -> Result<AdminReply, NodeError> {
        admin::elsewhere(&self.fleet, room, request).await
    }

    /// Adds the rooms of other nodes to those of this one.
    pub(crate) async fn list_rooms(&self, here: AdminReply, request: &AdminRequest) -> AdminReply {
        admin::list_rooms(&self.fleet, here, request).await
    }

    /// Tells the fleet that this node is about to end.
    pub(crate) async fn leave(&self) {
        self.fleet.leave().await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// `None` for a name the fleet cannot hold: such a room stays on its node.
fn room_spec(room: &RoomName, record: &RoomRecord) -> Option<RoomSpec> {
    let name: FleetRoom = room.as_str().parse().ok()?;
    let mut spec = RoomSpec::new(name, record.sid.as_str());
    spec.metadata = serde_json::to_value(record).ok()?;
    Some(spec)
}

fn nats_settings(settings: &Settings) -> NatsSettings {
    NatsSettings {
        urls: settings.fleet.nats.clone(),
        credentials_file: settings.fleet.credentials_file.clone(),
        ..NatsSettings::default()
    }
}

fn relay_config(settings: &Settings) -> anyhow::Result<RelayConfig> {
    let relay = &settings.relay;
    let file = |key: &'static str, file: &Option<std::path::PathBuf>| {
        file.clone().with_context(|| format!("{key} is not set"))
    };
    Ok(RelayConfig {
        node: tradewind_relay::NodeId::from(settings.node.id.as_str()),
        bind: relay.bind,
        certificate_file: file("relay.certificate_file", &relay.certificate_file)?,
        key_file: file("relay.key_file", &relay.key_file)?,
        ca_file: file("relay.ca_file", &relay.ca_file)?,
        limits: Default::default(),
    })
}

/// How often the node's load is told, and what is missing given up.
const TICK: Duration = Duration::from_millis(500);
