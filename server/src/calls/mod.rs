//! Calls apart from HTTP: who is in them, on which nodes, and how that came about.
//!
//! Read in this order: `call` (what a call is), `book` (what happens to it), `nodes` and `planner` (where it goes),
//! `switchboard` (all of it with a clock, a lock and listeners).

pub(crate) mod book;
pub(crate) mod call;
pub(crate) mod event;
pub(crate) mod feedback;
mod geo;
mod journal;
pub(crate) mod list;
pub(crate) mod nodes;
pub(crate) mod planner;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod switchboard;

/// Claim of a token that binds it to a call and to nodes: `{"call": ID, "nodes": [ID]}`.
pub(crate) const CALL_CLAIM: &str = "tradewind";

pub(crate) use geo::GeoIp;
pub(crate) use nodes::Alone;
pub(crate) use planner::Planner;
pub(crate) use switchboard::Switchboard;
