//! The thin shell around the core: QUIC connections, certificates, the relay's thread.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the shell owns the clock, the socket and the thread of the relay"
)]

mod controller;
mod handle;
mod inbox;
mod link;
mod mesh;
mod relay;
mod session;
mod streams;
mod test_ca;
mod tls;
mod transport;

pub use handle::{RelayHandle, SendError};
pub use inbox::{Delivery, Event, Inbox, InboxReader};
pub use relay::{Peer, Relay, RelayConfig, StartError};
pub use test_ca::{TestCaError, create_test_ca};
pub use tls::TlsError;
