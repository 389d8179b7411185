//! Media in and out of one transport.

use std::time::Instant;

use str0m::format::PayloadParams;
use str0m::media::{KeyframeRequestKind, Pt};
use str0m::rtp::Ssrc;

use super::Transport;
use crate::context::Context;
use crate::egress::OutgoingPacket;
use crate::id::{Mid, Rid};

impl Transport {
    /// Writes a packet; it leaves when the turn ends.
    pub(crate) fn write_rtp(&mut self, cx: &mut Context, mid: Mid, packet: OutgoingPacket) {
        if self.failure.is_none() {
            self.written.push((mid, packet));
            self.list(cx);
        }
    }

    /// Gives the section a fresh SSRC, for another track is about to use it.
    pub(crate) fn renew_stream(&mut self, cx: &mut Context, mid: Mid) {
        self.guarded(cx, |transport, cx| {
            let ssrc = transport.new_ssrc();
            let resend_ssrc = loop {
                let resend_ssrc = transport.new_ssrc();
                if resend_ssrc != ssrc {
                    break resend_ssrc;
                }
            };
            // What was written before belongs to the old SSRC.
            transport.seal_written(cx, cx.now);
            transport.egress.renew(cx, mid, ssrc, resend_ssrc);
            transport.mark_written(cx);
        });
    }

    fn new_ssrc(&mut self) -> u32 {
        loop {
            let ssrc = *self.rtc.direct_api().new_ssrc();
            if !self.egress.owns(ssrc) && ssrc != self.pair_probe {
                return ssrc;
            }
        }
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

    /// Tells the bandwidth estimator what there is use for, bits per second.
    pub(crate) fn set_demand(&mut self, cx: &mut Context, now: Instant, bitrate: u64) {
        self.guarded(cx, |transport, _| {
            transport.egress.set_demand(now, bitrate);
        });
    }
}
