//! A shard to fuzz against, in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tradewind_rtc::{
    AdminReply, AdminRequest, Command, ConnectionId, DisconnectReason, Event, Join, Output,
    Protocol, Received, RequestId, Shard, ShardConfig, SignalRequest, Transmit,
};
use tradewind_signalling::Limits;
use tradewind_signalling::data::DataPacketCodec;
use tradewind_signalling::join::{Connect, ConnectRequest, connect_v0, connect_v1};
use tradewind_signalling::session::{COMPATIBLE_VERSION, ServerInfo, Session};
use tradewind_signalling::token::{Claims, VideoGrant};

/// An offer as Chromium writes it: two channels, a microphone, a camera in three layers and sections to receive on.
pub(crate) const OFFER: &str = include_str!("offer.sdp");
/// The one connection there is.
pub(crate) const CONNECTION: ConnectionId = ConnectionId(1);
/// Unix time of all inputs, seconds.
pub(crate) const NOW_UNIX_S: u64 = 1_800_000_000;
/// Address of the server's sockets.
pub(crate) const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 7882);
/// Turns in which a shard must come to rest after time has passed.
const MAX_TURNS: usize = 1_000;

/// A shard and the clock it is driven by.
pub(crate) struct Call {
    pub(crate) shard: Shard,
    now: Instant,
}

impl Call {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "libfuzzer")]
        let_contained_panics_pass();
        let now = Instant::now();
        let server = SocketAddr::from(SERVER);
        let config = ShardConfig {
            udp_candidates: vec![server],
            tcp_candidates: vec![server],
            ..ShardConfig::default()
        };
        let codec = Box::new(DataPacketCodec);
        Self {
            shard: Shard::new(config, now, NOW_UNIX_S * 1_000, 1, codec),
            now,
        }
    }

    /// A shard on which `join` was sent.
    pub(crate) fn with(join: Join) -> (Self, Vec<Output>) {
        let mut call = Self::new();
        let outputs = call.command(Command::Join(Box::new(join)));
        (call, outputs)
    }

    /// Sends a command; gives back what it led to.
    pub(crate) fn command(&mut self, command: Command) -> Vec<Output> {
        self.shard.handle_command(self.now, command);
        self.settle().1
    }

    /// Sends a message of the joined participant.
    pub(crate) fn signal(&mut self, request: SignalRequest) -> Vec<Output> {
        let request = Box::new(request);
        self.command(Command::Signal {
            connection: CONNECTION,
            request,
        })
    }

    /// Makes a server API call; `None` = refused.
    pub(crate) fn administer(&mut self, request: AdminRequest) -> Option<AdminReply> {
        let command = Command::Admin {
            request: RequestId(1),
            command: Box::new(request),
        };
        let mut replies = self
            .command(command)
            .into_iter()
            .filter_map(|output| match output {
                Output::Reply(_, reply) => Some(reply),
                _ => None,
            });
        let reply = replies.next().expect("every call is answered at once");
        assert!(replies.next().is_none(), "a call is answered once");
        reply.ok()
    }

    /// Lets a datagram arrive; gives back what is sent in the same turn.
    pub(crate) fn datagram(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        contents: &[u8],
    ) -> Vec<Transmit> {
        let received = Received {
            protocol,
            source,
            destination: SERVER.into(),
            contents,
        };
        self.shard.handle_datagram(self.now, received);
        self.settle().0
    }

    /// Lets time pass; gives back what is sent meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Transmit> {
        let end = self.now + time;
        let mut transmits = Vec::new();
        for _ in 0..MAX_TURNS {
            match self.shard.poll_timeout() {
                Some((due, _)) if due <= end => self.now = due.max(self.now),
                _ => {
                    self.now = end;
                    return transmits;
                }
            }
            self.shard.handle_timeout(self.now);
            transmits.extend(self.settle().0);
        }
        panic!("the shard wants to be woken again and again");
    }

    /// Ends all sessions and checks that nothing is left of them.
    pub(crate) fn end(mut self) {
        let reason = DisconnectReason::ServerShutdown;
        self.command(Command::Shutdown { reason });
        let counters = self.shard.counters();
        assert_eq!(
            (counters.rooms, counters.participants),
            (0, 0),
            "a room was left"
        );
    }

    fn settle(&mut self) -> (Vec<Transmit>, Vec<Output>) {
        self.shard.finish_turn(self.now);
        let transmits = std::iter::from_fn(|| self.shard.poll_transmit()).collect();
        let outputs = std::iter::from_fn(|| self.shard.poll_output()).collect();
        (transmits, outputs)
    }
}

/// A panic of the WebRTC library ends its transport and is counted, as designed; libFuzzer would end the process at it.
/// All others still end the process, since nobody catches them before libFuzzer does.
#[cfg(feature = "libfuzzer")]
fn let_contained_panics_pass() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))));
}

/// Claims of a participant who may do everything a participant may do.
pub(crate) fn claims() -> Claims {
    Claims {
        api_key: "devkey".into(),
        identity: "shopper-7".into(),
        name: "Aiko".into(),
        attributes: [("locale".to_owned(), "ja".to_owned())].into(),
        grants: VideoGrant {
            room_join: true,
            room: "order-17".into(),
            can_update_own_metadata: Some(true),
            ..VideoGrant::default()
        },
        ..Claims::default()
    }
}

/// A connect request as a client with one peer connection sends it, or with two.
pub(crate) fn connect(single: bool) -> Connect {
    let (claims, limits) = (claims(), Limits::default());
    let connect = if single {
        connect_v1("join_request=", &claims, CONNECTION, &limits)
    } else {
        connect_v0("protocol=16&auto_subscribe=1", &claims, CONNECTION, &limits)
    };
    connect.expect("a plain request is accepted")
}

/// The join command of [`connect`].
pub(crate) fn join(single: bool) -> Join {
    match connect(single).request {
        ConnectRequest::Join(join) => *join,
        ConnectRequest::Resume(_) => unreachable!("nothing in the request asks to resume"),
    }
}

/// The session of a connect request.
pub(crate) fn session(connect: &Connect) -> Session {
    let server = ServerInfo {
        node_id: "ND_1".into(),
        region: "tokyo".into(),
        version: COMPATIBLE_VERSION.into(),
        ice_servers: Vec::new(),
        agent_protocol: 1,
    };
    Session::new(Arc::new(server), connect, Limits::default())
}

/// Events for the participant among `outputs`.
pub(crate) fn events(outputs: Vec<Output>) -> impl Iterator<Item = Event> {
    outputs.into_iter().filter_map(|output| match output {
        Output::Connection(CONNECTION, event) => Some(event),
        _ => None,
    })
}

/// The answer among `outputs`.
pub(crate) fn answer(outputs: Vec<Output>) -> Option<String> {
    events(outputs).find_map(|event| match event {
        Event::Answer(answer) => Some(answer.description.sdp),
        _ => None,
    })
}
