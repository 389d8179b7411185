//! The loop of a media thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use tokio::sync::mpsc;
use tracing::error;
use tradewind_rtc::{Command, Output, Protocol, Received, Shard};

use super::handle::ShardStatus;
use super::input::{Input, Notice, TcpInput};
use super::outbox::Outbox;
use crate::cluster::Links;
use crate::node::RoomClaim;
use crate::socket::{Readiness, SocketCounters, UdpPort};

pub(super) const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);

/// Longest sleep, so that the node sees that the thread is alive.
const HEARTBEAT: Duration = Duration::from_millis(500);
// Bounds of one turn, so that neither commands nor media wait long for the other.
const MAX_INPUTS: usize = 256;
const MAX_FRAMES: usize = 256;
/// Turns that may panic one after the other before the thread gives up.
const MAX_PANICS_IN_A_ROW: u32 = 16;

/// Everything a media thread owns.
pub(super) struct ShardThread {
    index: usize,
    shard: Shard,
    links: Arc<OnceLock<Arc<Links>>>,
    port: UdpPort,
    poll: mio::Poll,
    events: mio::Events,
    status: Arc<ShardStatus>,
    inputs: mpsc::Receiver<Input>,
    frames: mpsc::Receiver<TcpInput>,
    outbox: Outbox,
    counters: SocketCounters,
    /// Kept until the outputs of the turn that used them are on their way.
    claims: Vec<RoomClaim>,
    /// Outputs for connections and callers, sent after those for the node.
    held: Vec<Output>,
    /// The poll reports only changes: the socket may still have more since the last one.
    readable: bool,
    /// A queue had more than one turn takes.
    input_left: bool,
    asks_for_writable: bool,
    last_heartbeat: Instant,
}

impl ShardThread {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once; each argument is a part of its own"
    )]
    pub(super) fn new(
        index: usize,
        shard: Shard,
        mut port: UdpPort,
        poll: mio::Poll,
        status: Arc<ShardStatus>,
        inputs: mpsc::Receiver<Input>,
        frames: mpsc::Receiver<TcpInput>,
        notices: mpsc::UnboundedSender<Notice>,
        links: Arc<OnceLock<Arc<Links>>>,
    ) -> io::Result<Self> {
        poll.registry()
            .register(&mut port.socket, SOCKET, Interest::READABLE)?;
        Ok(Self {
            index,
            shard,
            links,
            port,
            poll,
            events: mio::Events::with_capacity(8),
            status,
            inputs,
            frames,
            outbox: Outbox::new(index, notices),
            counters: SocketCounters::default(),
            claims: Vec::new(),
            held: Vec::new(),
            readable: true,
            input_left: false,
            asks_for_writable: false,
            last_heartbeat: Instant::now(),
        })
    }

    /// Turns until stopped. A panic costs the turn it happens in; a thread that does nothing but panic gives up.
    pub(super) fn run(mut self) {
        let mut panics_in_a_row = 0;
        while !self.status.should_stop() {
            self.wait();
            let now = Instant::now();
            match catch_unwind(AssertUnwindSafe(|| self.turn(now))) {
                Ok(()) => panics_in_a_row = 0,
                Err(_) => {
                    panics_in_a_row += 1;
                    self.counters.turn_panics += 1;
                    error!(
                        panics_in_a_row,
                        "a turn of a media thread panicked: please report it as a bug"
                    );
                }
            }
            if panics_in_a_row == MAX_PANICS_IN_A_ROW {
                error!("a media thread gives up: its calls are lost, restart the node");
                self.status.fail();
                return;
            }
        }
    }

    fn wait(&mut self) {
        let timeout = if self.readable || self.input_left {
            Duration::ZERO
        } else {
            let now = Instant::now();
            let deadline = self
                .shard
                .poll_timeout()
                .map(|(deadline, _reason)| deadline);
            deadline.map_or(HEARTBEAT, |deadline| {
                deadline.saturating_duration_since(now).min(HEARTBEAT)
            })
        };
        if let Err(error) = self.poll.poll(&mut self.events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            error!(%error, "cannot poll the sockets of a media thread");
        }
        self.readable |= self
            .events
            .iter()
            .any(|event| event.token() == SOCKET && event.is_readable());
    }

    fn turn(&mut self, now: Instant) {
        self.status.woken();
        self.heartbeat(now);
        if self.port.is_blocked() {
            self.port.send_backlog(&mut self.counters);
        }
        let inputs = self.take_inputs(now);
        let frames = self.take_frames(now);
        self.input_left = inputs == MAX_INPUTS || frames == MAX_FRAMES;
        self.receive(now);
        for command in self.outbox.lost() {
            self.shard.handle_command(now, command);
        }
        if self
            .shard
            .poll_timeout()
            .is_some_and(|(deadline, _reason)| deadline <= now)
        {
            self.shard.handle_timeout(now);
        }
        // Once before, for what was written without waiting for the end of the turn, and after each transport.
        self.send();
        while self.shard.finish_transport(now) {
            self.send();
        }
        self.relay();
        self.route_outputs();
        self.watch_writable();
        self.status
            .connections
            .store(self.outbox.connections() as u64, Ordering::Relaxed);
        self.status.turned(now);
    }

    fn heartbeat(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last_heartbeat) < HEARTBEAT {
            return;
        }
        self.last_heartbeat = now;
        self.outbox.sweep();
        // A failed read may have used up the report that there is something to read.
        self.readable = true;
        self.status
            .participants
            .store(self.shard.counters().participants, Ordering::Relaxed);
    }

    fn take_inputs(&mut self, now: Instant) -> usize {
        for taken in 0..MAX_INPUTS {
            let Ok(input) = self.inputs.try_recv() else {
                return taken;
            };
            match input {
                Input::Connect {
                    connection,
                    command,
                    events,
                    claim,
                } => {
                    self.outbox.connect(connection, events);
                    self.claims.extend(claim);
                    self.shard.handle_command(now, command);
                }
                Input::Command(command) => {
                    if let Command::ConnectionClosed { connection } = command {
                        self.outbox.disconnect(connection);
                    }
                    self.shard.handle_command(now, command);
                }
                Input::Admin {
                    request: command,
                    reply,
                    claim,
                } => {
                    let request = self.outbox.expect_reply(reply);
                    self.claims.extend(claim);
                    self.shard
                        .handle_command(now, Command::Admin { request, command });
                }
                Input::Relayed { peer, packet } => self.shard.handle_relayed(now, peer, packet),
                Input::SocketCounters { reply } => {
                    // A caller that no longer waits needs no answer.
                    let _ = reply.send(self.counters);
                }
            }
        }
        MAX_INPUTS
    }

    fn take_frames(&mut self, now: Instant) -> usize {
        for taken in 0..MAX_FRAMES {
            let Ok(input) = self.frames.try_recv() else {
                return taken;
            };
            if let Some((source, destination, contents)) = input.register(&mut self.outbox) {
                self.counters.tcp_in += 1;
                let datagram = Received {
                    protocol: Protocol::Tcp,
                    source,
                    destination,
                    contents: &contents,
                };
                self.shard.handle_datagram(now, datagram);
            }
        }
        MAX_FRAMES
    }

    /// One read of the socket; what is left waits for the next turn.
    fn receive(&mut self, now: Instant) {
        if !self.readable {
            return;
        }
        let shard = &mut self.shard;
        let readiness = self
            .port
            .receive(&mut self.counters, |source, destination, contents| {
                shard.handle_datagram(
                    now,
                    Received {
                        protocol: Protocol::Udp,
                        source,
                        destination,
                        contents,
                    },
                );
            });
        self.readable = readiness == Readiness::MayHaveMore;
    }

    fn send(&mut self) {
        while let Some(transmit) = self.shard.poll_transmit() {
            let spent = match transmit.protocol {
                Protocol::Udp => self.port.send(transmit, &mut self.counters),
                Protocol::Tcp => {
                    for datagram in transmit.datagrams() {
                        let frame = datagram.to_vec();
                        self.outbox
                            .frame(transmit.destination, frame, &mut self.counters);
                    }
                    Some(transmit.contents)
                }
            };
            if let Some(buffer) = spent {
                self.shard.recycle(buffer);
            }
        }
        if let Some(buffer) = self.port.flush(&mut self.counters) {
            self.shard.recycle(buffer);
        }
    }

    /// Packets for other replicas. There are none before the cluster has given the way.
    fn relay(&mut self) {
        while let Some((peer, packet)) = self.shard.poll_relayed() {
            if let Some(links) = self.links.get() {
                links.send(self.index, peer, packet);
            }
        }
    }

    /// The node hears of a room before anybody hears that he is in it, and of a freed place after both.
    fn route_outputs(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Room(_) | Output::IceFragment(..) | Output::Replica { .. } => {
                    self.outbox.route(output, &mut self.counters)
                }
                Output::Connection(..) | Output::CloseConnection(_) | Output::Reply(..) => {
                    self.held.push(output)
                }
            }
        }
        for output in self.held.drain(..) {
            self.outbox.route(output, &mut self.counters);
        }
        self.claims.clear();
    }

    /// Asks to be woken for room in the send buffer only while something waits for it: otherwise every datagram that
    /// leaves would wake the thread.
    fn watch_writable(&mut self) {
        let blocked = self.port.is_blocked();
        if blocked == self.asks_for_writable {
            return;
        }
        let interest = if blocked {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        match self
            .poll
            .registry()
            .reregister(&mut self.port.socket, SOCKET, interest)
        {
            Ok(()) => self.asks_for_writable = blocked,
            Err(error) => error!(%error, "cannot watch the socket of a media thread"),
        }
    }
}
