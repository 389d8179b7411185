//! What the nodes of a fleet know of each other: who is there, which room is where, and messages between nodes.
//!
//! [`Fleet`] is the handle that a server or an edge agent holds. It runs over a [`Backbone`], of which there are two:
//! a [`Hub`] inside the process (one node, or several in a test) and NATS ([`Nats`]). What decides is pure and knows
//! neither: [`registry`] (which nodes live) and [`directory`] (which node holds which room).
//!
//! Nothing here is on the media path, and no call blocks for long: when the backbone is away, what is known stays
//! known, rooms are opened provisionally, and on return everything is listed and announced again.

pub mod backbone;
pub mod directory;
mod driver;
mod error;
mod fleet;
mod id;
mod node;
mod path;
pub mod registry;
mod room;
mod wire;

pub use backbone::hub::{Disturbance, Hub};
pub use backbone::nats::{Nats, NatsSettings};
pub use backbone::{Backbone, Bucket, Value};
pub use error::FleetError;
pub use fleet::{Events, Fleet, FleetEvent, Messages, Request, Requests, Snapshot};
pub use id::{NodeId, RegionName, Residency, RoomName};
pub use node::{Addresses, Coordinates, EdgeRecord, Load, NodeRecord, NodeView, Pressure, Version};
pub use path::{PathQuality, Paths, Vector};
pub use room::{Opened, RoomEntry, RoomSpec};
