//! What can be wrong with a question, and what to do.

use thiserror::Error;

use crate::node::NodeId;

/// Why a fleet snapshot is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FleetError {
    #[error("node {0} is listed twice: give each node a name of its own")]
    DuplicateNode(NodeId),
    #[error(
        "node {0} has coordinates outside -90..90 and -180..180 degrees: correct its configuration"
    )]
    BadCoordinates(NodeId),
    #[error(
        "node {0} reports a number that is no share, price or version range: correct its report"
    )]
    BadNumbers(NodeId),
    #[error("the fleet has {0} nodes, and {1} at most are placed on: split it")]
    TooManyNodes(usize, usize),
    #[error("the fleet uses more than 64 residency tags: merge some")]
    TooManyTags,
}

/// Why a call cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlacementError {
    #[error("the request names no party: give at least one")]
    NoParties,
    #[error("the request names {0} parties, and {1} at most are placed: split the meeting")]
    TooManyParties(usize, usize),
    #[error("party {0} is named twice: give each party an identity of its own")]
    DuplicateParty(String),
    #[error(
        "party {0} has a delay, share or coordinate that is no possible value: correct or omit it"
    )]
    BadNumbers(String),
    #[error("no node carries any of the residency tags {0}: correct the tags or add a node there")]
    ImpossibleResidency(String),
    #[error("all nodes that may carry the call are full: add nodes or wait ({0})")]
    NoCapacity(String),
    #[error("no node may carry the call: {0}")]
    NoUsableNode(String),
}
