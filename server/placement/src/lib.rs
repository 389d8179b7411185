//! Chooses the one or two nodes that give a call the lowest delay, and says why.
//!
//! A pure function of its input: [`place()`] takes a [`Fleet`] snapshot, the [`Reservations`] still open, a [`Policy`]
//! and a [`Request`], and returns a [`Placement`]; [`explain()`] tells how it came about, from the same input.
//!
//! Read in this order: `request` and `node` (what goes in), `estimate` (what is believed about each client's
//! delays), `rules` (who may carry the call), `score` (what a choice is worth), `search` (how the best is found
//! without trying all), `place` (moves, standby nodes, spilling), `explain` (why).

mod candidates;
mod emodel;
mod error;
mod estimate;
mod explain;
mod fleet;
mod history;
mod node;
mod place;
mod placement;
mod policy;
mod prefix;
mod render;
mod request;
mod reservations;
mod route;
mod rules;
mod score;
mod search;
mod standby;
mod tie;
mod units;

pub use emodel::{delay_impairment, loss_impairment, mean_opinion_score, r_factor};
pub use error::{FleetError, PlacementError};
pub use estimate::{Estimate, Source};
pub use explain::{CandidateReport, Explanation, Leg, explain};
pub use fleet::{Fleet, Link, Snapshot};
pub use history::{History, HistoryLimits};
pub use node::{Capacity, Health, Node, NodeId, Protocols};
pub use place::place;
pub use placement::{PairPrediction, Placement, Reason, Spill, Standby, Terms};
pub use policy::{Policy, PolicyError};
pub use prefix::Prefix;
pub use request::{Location, LocationSource, Measurement, Party, PartyId, Request, Running};
pub use reservations::Reservations;
pub use rules::Exclusion;
pub use units::{Coordinates, Millis, Points, Share, Timestamp};
