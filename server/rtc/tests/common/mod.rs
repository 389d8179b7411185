//! A shard, its clients and the network between them, in virtual time.
//!
//! Clients are str0m peers that speak typed commands and events instead of protobuf. Everything is driven by one seed:
//! a run can be repeated exactly, but for the random numbers str0m draws for keys and SSRCs.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "every test binary uses another part of this"
)]

mod client;
mod fleet;
mod network;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, ConnectionId, DataCodec, DataError, DataSender,
    Event, Output, PeerId, Protocol, Received, RequestId, RoomEvent, RoomName, Shard, ShardConfig,
    StampedMessage,
};

use tradewind_rtc::replica::ReplicaMessage;

pub use client::Client;
pub use fleet::{Fleet, FleetLink};
pub use network::{Link, Network};

pub const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 7882);

/// Everything of one scenario.
pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub shard: Shard,
    pub network: Network,
    pub clients: BTreeMap<ConnectionId, Client>,
    pub room_events: Vec<RoomEvent>,
    pub replies: BTreeMap<RequestId, Result<AdminReply, AdminError>>,
    /// Messages for other shards' replicas, in order.
    pub replica_messages: Vec<(RoomName, PeerId, Box<ReplicaMessage>)>,
    next_id: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_config(seed, ShardConfig::default())
    }

    pub fn with_config(seed: u64, config: ShardConfig) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock; only its distance matters"
        )]
        let start = Instant::now();
        Self::starting(start, seed, config)
    }

    /// A world that shares its clock with others.
    pub fn starting(start: Instant, seed: u64, mut config: ShardConfig) -> Self {
        config.udp_candidates = vec![SocketAddr::from(SERVER)];
        Self {
            now: start,
            start,
            shard: Shard::new(config, start, 1_760_000_000_000, seed, Box::new(PlainCodec)),
            network: Network::new(seed),
            clients: BTreeMap::new(),
            room_events: Vec::new(),
            replies: BTreeMap::new(),
            replica_messages: Vec::new(),
            next_id: 1,
        }
    }

    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Lets a client join; gives back its connection.
    pub fn join(&mut self, client: Client) -> ConnectionId {
        let (connection, command) = (client.connection, client.join_command());
        self.clients.insert(connection, client);
        self.command(command);
        connection
    }

    pub fn client(&mut self, connection: ConnectionId) -> &mut Client {
        self.clients.get_mut(&connection).expect("client exists")
    }

    pub fn command(&mut self, command: Command) {
        self.shard.handle_command(self.now, command);
        self.settle();
    }

    pub fn signal(&mut self, connection: ConnectionId, request: tradewind_rtc::SignalRequest) {
        self.command(Command::Signal {
            connection,
            request: Box::new(request),
        });
    }

    pub fn admin(&mut self, request: AdminRequest) -> Result<AdminReply, AdminError> {
        let id = self.ask(request);
        self.replies.remove(&id).expect("the shard answers at once")
    }

    /// Makes a server API call whose reply comes in [`Self::replies`].
    pub fn ask(&mut self, request: AdminRequest) -> RequestId {
        let id = RequestId(self.next_id());
        self.command(Command::Admin {
            request: id,
            command: Box::new(request),
        });
        id
    }

    /// Runs for some virtual time.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let next = self.next_wake().filter(|at| *at < end).unwrap_or(end);
            self.now = next.max(self.now);
            self.step();
            if self.now >= end {
                self.settle();
                return;
            }
        }
    }

    /// Runs until `done`, at most for ten seconds of virtual time.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(10);
        while !done(self) {
            assert!(self.now < end, "not within ten seconds: {what}");
            self.run(Duration::from_millis(5));
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        let clients = self.clients.values().map(Client::next_wake).min();
        [
            self.shard.poll_timeout().map(|(at, _)| at),
            self.network.next_arrival(),
            clients,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn step(&mut self) {
        while let Some((from, to, contents)) = self.network.arrive(self.now) {
            if to == SocketAddr::from(SERVER) {
                let received = Received {
                    protocol: Protocol::Udp,
                    source: from,
                    destination: to,
                    contents: &contents,
                };
                self.shard.handle_datagram(self.now, received);
            } else if let Some(client) = self
                .clients
                .values_mut()
                .find(|client| client.address == to || client.other_address == Some(to))
            {
                client.receive(self.now, from, to, &contents);
            }
        }
        if self
            .shard
            .poll_timeout()
            .is_some_and(|(at, _)| at <= self.now)
        {
            self.shard.handle_timeout(self.now);
        }
        for client in self.clients.values_mut() {
            client.step(self.now);
        }
    }

    /// Moves everything that is ready: datagrams to the network, events to clients, their answers back.
    pub(super) fn settle(&mut self) {
        loop {
            let mut moved = false;
            self.shard.finish_turn(self.now);
            while let Some(transmit) = self.shard.poll_transmit() {
                for datagram in transmit.datagrams() {
                    let (from, to) = (transmit.source, transmit.destination);
                    self.network.send(self.now, from, to, datagram.to_vec());
                }
                self.shard.recycle(transmit.contents);
            }
            while let Some(output) = self.shard.poll_output() {
                moved = true;
                self.take(output);
            }
            let mut commands = Vec::new();
            for client in self.clients.values_mut() {
                client.drain(self.now, &mut self.network);
                commands.append(&mut client.commands);
            }
            for command in commands {
                moved = true;
                self.shard.handle_command(self.now, command);
            }
            if !moved {
                return;
            }
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Connection(connection, event) => {
                if let Some(client) = self.clients.get_mut(&connection) {
                    client.event(self.now, event);
                }
            }
            Output::CloseConnection(connection) => {
                if let Some(client) = self.clients.get_mut(&connection) {
                    client.closed = true;
                }
            }
            Output::Room(event) => self.room_events.push(event),
            Output::Reply(id, reply) => {
                self.replies.insert(id, reply);
            }
            Output::Replica {
                room,
                peer,
                message,
            } => self.replica_messages.push((room, peer, message)),
            Output::IceFragment(..) => {}
        }
    }
}

/// Whether an event of this kind came.
pub fn any(events: &[Event], wanted: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(wanted)
}

/// Test messages: `destination,destination|sequence|text`; the stamp puts the sender in front.
struct PlainCodec;

impl DataCodec for PlainCodec {
    fn stamp(&self, message: &[u8], sender: DataSender<'_>) -> Result<StampedMessage, DataError> {
        let text = std::str::from_utf8(message).map_err(|_| DataError::Malformed)?;
        let mut parts = text.splitn(3, '|');
        let (Some(to), Some(sequence), Some(body)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(DataError::Malformed);
        };
        Ok(StampedMessage {
            message: format!("{}: {body}", sender.identity).into_bytes().into(),
            destinations: to
                .split(',')
                .filter(|name| !name.is_empty())
                .map(Into::into)
                .collect(),
            destination_sids: Vec::new(),
            sequence: sequence.parse().map_err(|_| DataError::Malformed)?,
            relay: true,
        })
    }
}
