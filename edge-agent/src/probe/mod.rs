//! Probes between edges, and the echo that clients measure their edges by.

pub(crate) mod codec;
pub(crate) mod echo;
pub(crate) mod peer;
pub(crate) mod reach;
pub(crate) mod socket;
