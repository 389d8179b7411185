//! What bytes of strangers and messages of clients reach, as plain functions from bytes to a verdict.
//!
//! Fuzzers call them with made-up input, `tests/corpus.rs` with the committed one. Each checks that the server neither
//! panics nor breaks a rule that is written at the function; a broken rule is a panic too.

mod call;
mod data_packet;
mod demux;
mod join_request;
mod record;
mod sdp;
mod signal_message;
mod token;
mod twirp;

pub use data_packet::data_packet;
pub use demux::demux;
pub use join_request::join_request;
pub use sdp::sdp;
pub use signal_message::signal_message;
pub use token::token;
pub use twirp::twirp;

/// What the server made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
}

impl Verdict {
    fn accepted_if(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// A function to fuzz.
pub type Target = fn(&[u8]) -> Verdict;

/// All targets by name, which is also the name of the corpus folder.
pub const TARGETS: [(&str, Target); 7] = [
    ("data_packet", data_packet),
    ("demux", demux),
    ("join_request", join_request),
    ("sdp", sdp),
    ("signal_message", signal_message),
    ("token", token),
    ("twirp", twirp),
];
