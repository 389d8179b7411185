//! What can go wrong between nodes, and what to do about it.

/// Why the fleet could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The backbone is away or did not answer in time; what runs goes on.
    #[error("the fleet is out of reach ({0}): go on with what this node knows and try again later")]
    Unavailable(String),
    /// The other side did not answer in time; it may or may not have acted.
    #[error("no answer within {0:?}: ask again, with the same idempotency key if it matters")]
    TimedOut(std::time::Duration),
    /// Nobody of that name takes such requests.
    #[error("node {0} takes no such requests: look it up again, it may have left")]
    NoSuchNode(String),
    /// Somebody else wrote the key first.
    #[error("{0} was changed by another node: read it again and decide anew")]
    Conflict(String),
    /// A message or value larger than the fleet carries.
    #[error("{bytes} bytes are too many, at most {limit}: send less or store it elsewhere")]
    TooLarge { bytes: usize, limit: usize },
    /// A name that cannot be used.
    #[error("{what} {text:?} cannot be used: {advice}")]
    Name {
        what: &'static str,
        text: String,
        advice: &'static str,
    },
    /// Settings that cannot work, such as an unreadable credentials file.
    #[error("fleet.{key}: {advice}")]
    Settings { key: &'static str, advice: String },
}
