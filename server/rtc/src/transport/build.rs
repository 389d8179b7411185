//! How an `Rtc` is set up.

use std::time::{Duration, Instant};

use str0m::net::TcpType;
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};
use tradewind_srtp::tap::{self, KeySlot};

use crate::context::Context;
use crate::media;

/// Largest data message: what SDKs are told and clamp to.
const MAX_MESSAGE: u32 = 65_535;
/// Bytes str0m may hold for a slow receiver of data. Throughput is at most this much per round trip, so that it allows
/// 40 Mbit/s over 200 ms.
const SCTP_BUFFER: usize = 1024 * 1024;
const STATS_INTERVAL: Duration = Duration::from_secs(5);

/// The `Rtc`, and where the keys of its handshake will appear. It estimates no bandwidth and sends no media: that is the
/// egress's part.
pub(super) fn rtc(cx: &Context, now: Instant, full_ice: bool) -> (Rtc, KeySlot) {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_ice_lite(!full_ice)
        .set_dtls_cert(cx.certificate.clone())
        .set_crypto_provider(cx.crypto.clone())
        .enable_opus(true, true)
        .set_sctp_max_message_size(MAX_MESSAGE)
        .set_sctp_max_buffered_amount(SCTP_BUFFER)
        .set_stats_interval(Some(STATS_INTERVAL));
    let extensions = config.extension_map();
    extensions.set(5, Extension::PlayoutDelay);
    extensions.set(6, Extension::VideoContentType);
    extensions.set(7, Extension::AbsoluteCaptureTime);
    extensions.set(8, media::descriptor::extension());

    let (mut rtc, keys) = tap::tapped(|| config.build(now));
    let udp = cx
        .config
        .udp_candidates
        .iter()
        .map(|address| Candidate::builder().udp().host(*address).build());
    let tcp = cx.config.tcp_candidates.iter().map(|address| {
        Candidate::builder()
            .tcp()
            .host(*address)
            .tcptype(TcpType::Passive)
            .build()
    });
    for candidate in udp.chain(tcp) {
        match candidate {
            Ok(candidate) => {
                rtc.add_local_candidate(candidate);
            }
            Err(error) => tracing::warn!(%error, "advertised address is unusable"),
        }
    }
    (rtc, keys)
}
