//! Media in and out of one transport.

use std::sync::Arc;
use std::time::Instant;

use str0m::bwe::Bitrate;
use str0m::format::PayloadParams;
use str0m::media::{KeyframeRequestKind, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc, Vp8Patch};

use super::Transport;
use crate::context::Context;
use crate::id::{Mid, Rid};

/// A packet on its way to a subscriber.
pub(crate) struct OutgoingPacket {
    pub(crate) payload_type: Pt,
    /// Extended; the first of a stream is below 65,536.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    /// When the media was captured, on our clock.
    pub(crate) captured: Instant,
    pub(crate) marker: bool,
    /// Whether the packet may be asked for again.
    pub(crate) keep: bool,
    pub(crate) extensions: ExtensionValues,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) vp8: Option<Vp8Patch>,
}

impl Transport {
    /// Queues a packet; it leaves when the turn ends.
    pub(crate) fn write_rtp(&mut self, cx: &mut Context, mid: Mid, packet: OutgoingPacket) {
        self.guarded(cx, |transport, cx| {
            let mut api = transport.rtc.direct_api();
            let Some(stream) = api.stream_tx_by_mid(mid, None) else {
                return;
            };
            // The publisher paced its frames already. Holding them back to a rate that is only estimated would freeze the
            // picture whenever the estimate is too low.
            stream.set_unpaced(true);
            let mut write = RtpWrite::new(
                packet.payload_type,
                packet.sequence.into(),
                packet.timestamp,
                packet.captured,
                packet.payload,
            )
            .marker(packet.marker)
            .ext_vals(packet.extensions)
            .nackable(packet.keep);
            if let Some(patch) = packet.vp8 {
                write = write.vp8_patch(patch);
            }
            stream.write_rtp(write);
            cx.counters.rtp_out += 1;
            transport.mark_dirty(cx);
        });
    }

    /// Gives the section a fresh SSRC, for another track is about to use it.
    pub(crate) fn renew_stream(&mut self, cx: &mut Context, mid: Mid) {
        self.guarded(cx, |transport, _| {
            let mut api = transport.rtc.direct_api();
            let Some(had_rtx) = api
                .stream_tx_by_mid(mid, None)
                .map(|stream| stream.rtx().is_some())
            else {
                return;
            };
            let ssrc = api.new_ssrc();
            let rtx = had_rtx.then(|| api.new_ssrc());
            api.reset_stream_tx(mid, None, ssrc, rtx);
        });
    }

    /// Asks the client for a key frame of one encoding.
    pub(crate) fn request_key_frame(&mut self, cx: &mut Context, ssrc: Ssrc) -> bool {
        let mut asked = false;
        self.guarded(cx, |transport, cx| {
            if let Some(stream) = transport.rtc.direct_api().stream_rx(&ssrc) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                cx.counters.keyframe_requests_out += 1;
                asked = true;
                transport.mark_dirty(cx);
            }
        });
        asked
    }

    /// Section and layer of an incoming stream.
    pub(crate) fn stream_origin(&mut self, ssrc: Ssrc) -> Option<(Mid, Option<Rid>)> {
        self.rtc
            .direct_api()
            .stream_rx(&ssrc)
            .map(|stream| (stream.mid(), stream.rid()))
    }

    /// What a payload type means here.
    pub(crate) fn payload_params(&self, payload_type: Pt) -> Option<PayloadParams> {
        self.rtc
            .codec_config()
            .params()
            .iter()
            .find(|params| params.pt() == payload_type || params.red() == Some(payload_type))
            .copied()
    }

    /// The payload types (plain, redundant) in which this client receives what another sends as `params` on `mid`.
    pub(crate) fn matching_payload_type(
        &self,
        mid: Mid,
        params: &PayloadParams,
    ) -> Option<(Pt, Option<Pt>)> {
        let ours = self.rtc.codec_config().match_params(*params)?;
        let offered = self.rtc.media(mid)?.remote_pts();
        if !offered.contains(&ours.pt()) {
            return None;
        }
        Some((ours.pt(), ours.red().filter(|red| offered.contains(red))))
    }

    /// Tells the bandwidth estimator what to sustain and what to look for, bits per second.
    pub(crate) fn set_bitrate(&mut self, cx: &mut Context, minimum: u64, desired: u64) {
        self.guarded(cx, |transport, _| {
            transport
                .rtc
                .bwe()
                .set_bitrate(Bitrate::bps(minimum), Bitrate::bps(desired));
        });
    }
}
