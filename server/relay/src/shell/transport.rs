//! QUIC's settings for links between nodes.

use std::sync::Arc;
use std::time::Duration;

use quinn::{AckFrequencyConfig, IdleTimeout, TransportConfig, VarInt};

use super::controller::Factory;
use super::streams::MAX_STREAMS;
use crate::congestion::RateLimits;

/// Datagrams that QUIC may hold; the scheduler fills a small part of it only.
pub(crate) const DATAGRAM_BUFFER: usize = 128 << 10;
/// Datagrams that wait for the link's task to read them.
const DATAGRAM_RECEIVE_BUFFER: usize = 4 << 20;
/// UDP payload that is tried from the first packet: an RTP packet of 1,200 bytes with all headers, inside any path of 1,400.
const INITIAL_MTU: u16 = 1_300;
/// Together with the keep-alive this tells a dead peer within three seconds.
const IDLE_TIMEOUT: VarInt = VarInt::from_u32(2_500);
const KEEP_ALIVE: Duration = Duration::from_millis(800);
/// Jitter of wide-area paths is not to be taken for loss.
const PACKET_THRESHOLD: u32 = 24;
/// ACKs of every packet would cost as many packets back; the delay stays well below the queue limit of congestion control.
const ACK_EVERY: VarInt = VarInt::from_u32(6);
const ACK_DELAY: Duration = Duration::from_millis(5);

pub(crate) fn transport(limits: RateLimits) -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(ACK_EVERY)
        .max_ack_delay(Some(ACK_DELAY));
    acks.reordering_threshold(VarInt::from_u32(PACKET_THRESHOLD));
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(Factory(limits)))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER))
        .initial_mtu(INITIAL_MTU)
        .initial_rtt(Duration::from_millis(150))
        .max_idle_timeout(Some(IdleTimeout::from(IDLE_TIMEOUT)))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .packet_threshold(PACKET_THRESHOLD)
        .ack_frequency_config(Some(acks))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS));
    Arc::new(transport)
}
