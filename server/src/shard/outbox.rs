//! Where the outputs of a shard go: connections, callers of the server API, ICE/TCP connections, the rest of the node.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};
use tradewind_rtc::{AdminError, AdminReply, Command, ConnectionId, Event, Output, RequestId};

use super::input::{Notice, TcpInput};
use crate::socket::SocketCounters;

type Reply = oneshot::Sender<Result<AdminReply, AdminError>>;

/// Receivers of a shard's outputs. Never waits for any of them.
pub(super) struct Outbox {
    shard: usize,
    notices: mpsc::UnboundedSender<Notice>,
    connections: HashMap<ConnectionId, mpsc::Sender<Event>>,
    replies: HashMap<RequestId, Reply>,
    next_request: u64,
    frames: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    /// Connections whose reader is gone or too slow: the shard does not know it yet.
    lost: VecDeque<ConnectionId>,
}

impl Outbox {
    pub(super) fn new(shard: usize, notices: mpsc::UnboundedSender<Notice>) -> Self {
        Self {
            shard,
            notices,
            connections: HashMap::new(),
            replies: HashMap::new(),
            next_request: 0,
            frames: HashMap::new(),
            lost: VecDeque::new(),
        }
    }

    pub(super) fn connect(&mut self, connection: ConnectionId, events: mpsc::Sender<Event>) {
        self.connections.insert(connection, events);
    }

    /// The shard hears of this connection's end in another way.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn expect_reply(&mut self, reply: Reply) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.replies.insert(request, reply);
        request
    }

    pub(super) fn tcp_opened(&mut self, peer: SocketAddr, frames: mpsc::Sender<Vec<u8>>) {
        self.frames.insert(peer, frames);
    }

    pub(super) fn tcp_closed(&mut self, peer: SocketAddr) {
        // A new connection from the same port may have come first.
        if self.frames.get(&peer).is_some_and(mpsc::Sender::is_closed) {
            self.frames.remove(&peer);
        }
    }

    /// Passes on one output.
    pub(super) fn route(&mut self, output: Output, counters: &mut SocketCounters) {
        match output {
            Output::Connection(connection, event) => self.event(connection, event, counters),
            Output::CloseConnection(connection) => self.disconnect(connection),
            Output::Room(event) => self.notify(Notice::Room {
                shard: self.shard,
                event,
            }),
            Output::Replica {
                room,
                peer,
                message,
            } => self.notify(Notice::Replica {
                shard: self.shard,
                room,
                peer,
                message,
            }),
            Output::IceFragment(fragment, added) => {
                self.notify(Notice::IceFragment {
                    shard: self.shard,
                    fragment,
                    added,
                });
            }
            Output::Reply(request, reply) => {
                if let Some(caller) = self.replies.remove(&request) {
                    // A caller that no longer waits has been answered with a time-out.
                    let _ = caller.send(reply);
                }
            }
        }
    }

    /// Sends a datagram as a frame of the ICE/TCP connection with `peer`. As with UDP, it may be lost.
    pub(super) fn frame(
        &mut self,
        peer: SocketAddr,
        contents: Vec<u8>,
        counters: &mut SocketCounters,
    ) {
        match self
            .frames
            .get(&peer)
            .map(|frames| frames.try_send(contents))
        {
            Some(Ok(())) => counters.tcp_out += 1,
            Some(Err(_)) | None => counters.tcp_out_dropped += 1,
        }
    }

    /// Commands that tell the shard of connections lost since the last call.
    pub(super) fn lost(&mut self) -> impl Iterator<Item = Command> {
        self.lost
            .drain(..)
            .map(|connection| Command::ConnectionClosed { connection })
    }

    /// Finds connections and callers that went away while their message to this thread was lost.
    pub(super) fn sweep(&mut self) {
        let lost = &mut self.lost;
        self.connections.retain(|&connection, events| {
            let keep = !events.is_closed();
            if !keep {
                lost.push_back(connection);
            }
            keep
        });
        self.replies.retain(|_, caller| !caller.is_closed());
        self.frames.retain(|_, frames| !frames.is_closed());
    }

    fn event(&mut self, connection: ConnectionId, event: Event, counters: &mut SocketCounters) {
        let Some(events) = self.connections.get(&connection) else {
            return;
        };
        if let Err(error) = events.try_send(event) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                counters.slow_connections += 1;
            }
            self.connections.remove(&connection);
            self.lost.push_back(connection);
        }
    }

    fn notify(&self, notice: Notice) {
        // Only a node that is being dropped no longer listens.
        let _ = self.notices.send(notice);
    }
}

impl TcpInput {
    /// Applies the parts that concern the way out; gives back a frame for the shard.
    pub(super) fn register(self, outbox: &mut Outbox) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        match self {
            Self::Opened { peer, frames } => outbox.tcp_opened(peer, frames),
            Self::Closed { peer } => outbox.tcp_closed(peer),
            Self::Frame {
                peer,
                destination,
                contents,
            } => return Some((peer, destination, contents)),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use tradewind_rtc::{DisconnectReason, LeaveAction};

    use super::*;

    const CONNECTION: ConnectionId = ConnectionId(7);

    fn leave() -> Output {
        let leave = Event::Leave {
            reason: DisconnectReason::RoomClosed,
            action: LeaveAction::Disconnect,
        };
        Output::Connection(CONNECTION, leave)
    }

    fn outbox() -> (Outbox, mpsc::UnboundedReceiver<Notice>, SocketCounters) {
        let (notices, received) = mpsc::unbounded_channel();
        (Outbox::new(0, notices), received, SocketCounters::default())
    }

    #[test]
    fn a_room_that_lets_go_ends_the_queue_after_its_last_event() {
        let (mut outbox, _notices, mut counters) = outbox();
        let (sender, mut events) = mpsc::channel(4);
        outbox.connect(CONNECTION, sender);
        outbox.route(leave(), &mut counters);
        outbox.route(Output::CloseConnection(CONNECTION), &mut counters);
        assert!(matches!(events.try_recv(), Ok(Event::Leave { .. })));
        assert_eq!(
            events.try_recv().unwrap_err(),
            mpsc::error::TryRecvError::Disconnected
        );
        assert_eq!(outbox.lost().count(), 0);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up_and_the_room_is_told_once() {
        let (mut outbox, _notices, mut counters) = outbox();
        let (sender, mut events) = mpsc::channel(2);
        outbox.connect(CONNECTION, sender);
        for _ in 0..5 {
            outbox.route(leave(), &mut counters);
        }
        assert_eq!(counters.slow_connections, 1);
        let told: Vec<_> = outbox.lost().collect();
        assert!(matches!(
            told[..],
            [Command::ConnectionClosed {
                connection: CONNECTION
            }]
        ));
        assert!(events.try_recv().is_ok() && events.try_recv().is_ok());
        assert_eq!(
            events.try_recv().unwrap_err(),
            mpsc::error::TryRecvError::Disconnected
        );
        assert_eq!(outbox.connections(), 0);
    }

    #[test]
    fn a_connection_that_vanished_without_a_word_is_found_by_the_sweep() {
        let (mut outbox, _notices, mut counters) = outbox();
        let (sender, events) = mpsc::channel(2);
        outbox.connect(CONNECTION, sender);
        outbox.sweep();
        assert_eq!(outbox.lost().count(), 0);
        drop(events);
        outbox.sweep();
        assert_eq!(outbox.lost().count(), 1);
        assert_eq!((outbox.connections(), counters.slow_connections), (0, 0));
        outbox.route(leave(), &mut counters);
        assert_eq!(outbox.lost().count(), 0);
    }

    #[test]
    fn replies_reach_their_caller() {
        let (mut outbox, _notices, mut counters) = outbox();
        let (first, mut first_reply) = oneshot::channel();
        let (second, mut second_reply) = oneshot::channel();
        let first = outbox.expect_reply(first);
        let second = outbox.expect_reply(second);
        outbox.route(
            Output::Reply(second, Err(AdminError::NoSuchRoom)),
            &mut counters,
        );
        outbox.route(Output::Reply(first, Ok(AdminReply::Done)), &mut counters);
        assert!(matches!(first_reply.try_recv(), Ok(Ok(AdminReply::Done))));
        assert!(matches!(
            second_reply.try_recv(),
            Ok(Err(AdminError::NoSuchRoom))
        ));
    }

    #[test]
    fn a_closed_tcp_connection_does_not_take_its_successor_along() {
        let (mut outbox, _notices, mut counters) = outbox();
        let peer = "127.0.0.1:5000".parse().unwrap();
        let (first, first_frames) = mpsc::channel(1);
        let (second, mut second_frames) = mpsc::channel(1);
        outbox.tcp_opened(peer, first);
        drop(first_frames);
        outbox.tcp_opened(peer, second);
        outbox.tcp_closed(peer);
        outbox.frame(peer, vec![1], &mut counters);
        outbox.frame(peer, vec![2], &mut counters);
        assert_eq!((counters.tcp_out, counters.tcp_out_dropped), (1, 1));
        assert_eq!(second_frames.try_recv().unwrap(), [1]);
    }
}
