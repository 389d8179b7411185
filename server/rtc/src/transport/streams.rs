//! Who owns the SSRCs we send on: the egress, except while a description is written or read.
//!
//! str0m chooses SSRCs, names them in descriptions, and would send reports on them. So it is lent the streams for the
//! time of a negotiation step, in which nothing is sent, and they are taken away again before it can send anything.

use super::Transport;
use crate::egress::{PayloadType, Section};
use crate::id::Mid;
use crate::sdp_text;

impl Transport {
    /// Shows str0m the streams in use, so that descriptions name them.
    pub(super) fn lend_streams(&mut self) {
        let streams: Vec<_> = self.egress.streams().collect();
        for (mid, ssrc, resend_ssrc) in streams {
            if self.rtc.media(mid).is_none() {
                self.egress.remove(mid);
                continue;
            }
            self.rtc.direct_api().declare_stream_tx(
                ssrc.into(),
                resend_ssrc.map(Into::into),
                mid,
                None,
            );
        }
    }

    /// Takes back what was lent, where nothing can have changed.
    pub(super) fn return_streams(&mut self) {
        let streams: Vec<_> = self.egress.streams().collect();
        for (_, ssrc, _) in streams {
            self.rtc.direct_api().remove_stream_tx(ssrc.into());
        }
    }

    /// Takes all streams of the sections in `sdp`, the client's description, with what was negotiated for them.
    pub(super) fn take_streams(&mut self, sdp: &str) {
        let mut sections = Vec::new();
        for mid in sdp_text::mids(sdp) {
            sections.extend(self.take_stream(mid));
        }
        // Sections the client does not name any more.
        self.return_streams();
        let params = self.rtc.codec_config().params();
        let mut payload_types = Vec::new();
        for params in params {
            let clock_rate = params.spec().clock_rate.get();
            payload_types.push(PayloadType {
                number: *params.pt(),
                resend: params.resend().map(|resend| *resend),
                clock_rate,
            });
            payload_types.extend(params.red().map(|red| PayloadType {
                number: *red,
                resend: None,
                clock_rate,
            }));
        }
        self.egress.adopt(sections, payload_types);
    }

    fn take_stream(&mut self, mid: Mid) -> Option<Section> {
        let kind = self.kind(mid)?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None)?;
        let (ssrc, resend_ssrc) = (stream.ssrc(), stream.rtx());
        api.remove_stream_tx(ssrc);
        let media = self.rtc.media(mid)?;
        Some(Section::new(
            media,
            kind,
            *ssrc,
            resend_ssrc.map(|resend| *resend),
        ))
    }
}
