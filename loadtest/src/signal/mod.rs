//! Signalling as SDKs do it: a token, a WebSocket at `/rtc/v1`, protobuf messages.

mod connection;
mod token;

pub(crate) use connection::{Joiner, Signal};
pub(crate) use token::{Api, TokenError};
