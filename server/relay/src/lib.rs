//! The cascade: how a room's media and messages travel between nodes.
//!
//! # The hop on one page
//!
//! Every node keeps one warm QUIC connection to every other node, mutually authenticated: a node is who its certificate says.
//! A **link** carries
//!
//! - **media** as datagrams: flow id, four bytes of hop header, the RTP packet untouched ([`frame`]);
//! - **control** on one stream: greetings and drain; NACKs and feedback go as datagrams;
//! - **room messages** on eight more streams: reliable, in order within a room.
//!
//! A packet on its way out passes
//!
//! 1. the **scheduler** ([`scheduler`]): sound, control, base layer, enhancement, retransmission, probe, in this order; late
//!    packets are dropped here; QUIC's own queue stays nearly empty, so sound never waits behind video;
//! 2. numbering and the **repair buffer** ([`repair`]): half a second of packets to answer from;
//! 3. QUIC, with the relay's own **congestion control** ([`congestion`]), which sets the scheduler's rate: it ignores single
//!    losses, on which QUIC's usual controllers starve a long link, and gives way to growing queues and heavy loss.
//!
//! On its way in, a packet is passed on at once; copies that came before are dropped; a gap is asked for again where the round
//! trip allows it. On a long hop that loses packets, sound goes twice.
//!
//! ```text
//! shard thread -- RelayHandle --> mesh -> link [ scheduler -> number + keep ] -> QUIC datagram
//! shard thread <-- Delivery ------------- link [ drop repeats <- find gaps -> NACK ] <- QUIC datagram
//! ```
//!
//! All of this except QUIC itself is the state machine [`hop::Hop`]: no clock, socket or thread, tested in virtual time. Around
//! it stands a thin shell: [`Relay`] runs everything on one thread of its own; [`RelayHandle`] takes packets from the media
//! threads without waiting; [`Delivery`] (or its ready-made form [`Inbox`]) gives packets and [`Event`]s back.
//!
//! Which packets a node wants is decided by the rooms, not here: what is given to [`RelayHandle::send_media`] is sent, once.
//! A dead peer is noticed within three seconds.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "a test's virtual time has to begin at some instant"
    )
)]

mod class;
pub mod congestion;
pub mod frame;
pub mod hop;
mod id;
pub mod repair;
pub mod scheduler;
mod shell;

pub use class::{MediaClass, SendClass};
pub use hop::{HopStats, MediaPacket};
pub use id::{BitsPerSecond, Epoch, FlowId, NodeId, RoomKey};
pub use shell::{
    Delivery, Event, Inbox, InboxReader, Peer, Relay, RelayConfig, RelayHandle, SendError,
    StartError, TestCaError, TlsError, create_test_ca,
};
