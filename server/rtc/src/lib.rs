//! Rooms, participants, tracks, subscriptions and media forwarding as one state machine per thread.
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws random numbers: [`Shard`] takes commands,
//! datagrams and the time, and gives back datagrams, events and the next deadline.

mod command;
mod config;
pub mod congestion;
mod context;
mod counters;
mod data;
mod demux;
mod egress;
mod event;
mod id;
mod info;
pub mod media;
pub mod replica;
mod room;
mod sdp_text;
mod shard;
mod sid;
mod timers;
mod transport;

pub use command::*;
pub use config::ShardConfig;
pub use counters::{Counters, DropReason};
pub use data::{DataCodec, DataError, DataSender, StampedMessage};
pub use event::*;
pub use id::*;
pub use info::*;
pub use shard::{Protocol, Received, Shard, Transmit, WakeReason};
