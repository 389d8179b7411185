//! What receivers of our media say about it.

use std::time::Instant;

use str0m::Event;
use str0m::bwe::{Bitrate, BweKind};
use str0m::media::{KeyframeRequest, KeyframeRequestKind};

use super::rtcp::{self, ReceptionReport, Said};
use super::stream::Stream;
use super::{Egress, Keys};
use crate::context::Context;

/// Estimates that differ by less than one in this are not worth a new allocation.
const ESTIMATE_GRAIN: u64 = 64;

impl Egress {
    /// Takes an RTCP datagram as it came. True if it holds something that concerns what the peer sends, which is
    /// str0m's business, or cannot be read here.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context,
        now: Instant,
        datagram: &[u8],
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(Keys { opener, .. }) = &mut self.keys else {
            return true;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(datagram);
        let mut for_others = false;
        match opener.open_rtcp(&mut scratch) {
            Ok(packet) => rtcp::read(packet, |said| match said {
                Said::Other => for_others = true,
                said => self.take(cx, now, said, events),
            }),
            Err(error) => {
                tracing::debug!(%error, "feedback not opened");
                for_others = true;
            }
        }
        self.scratch = scratch;
        self.drain_queue(cx, now);
        self.tell_estimate(events);
        for_others
    }

    /// Tells the room if the estimate moved enough to matter.
    pub(super) fn tell_estimate(&mut self, events: &mut Vec<Event>) {
        let estimate = self.congestion.estimate();
        if estimate.abs_diff(self.told_estimate) > self.told_estimate / ESTIMATE_GRAIN {
            self.told_estimate = estimate;
            tracing::debug!(estimate, "bandwidth estimated");
            events.push(Event::EgressBitrateEstimate(BweKind::Twcc {
                estimate: Bitrate::bps(estimate),
                can_probe: true,
            }));
        }
    }

    fn take(&mut self, cx: &mut Context, now: Instant, said: Said<'_>, events: &mut Vec<Event>) {
        match said {
            Said::Received(report) => self.reported(now, report),
            Said::Lost { ssrc, sequence } => {
                let Some(stream) = self.stream(ssrc) else {
                    return;
                };
                stream.note_nack();
                if self.is_urgent(ssrc) || self.congestion.admits(now) {
                    self.resend(cx, now, ssrc, sequence);
                } else {
                    self.queue.push_resend(ssrc, sequence);
                }
            }
            Said::KeyFrame { ssrc, full } => {
                let Some(stream) = self.stream(ssrc) else {
                    return;
                };
                let kind = if full {
                    stream.firs += 1;
                    KeyframeRequestKind::Fir
                } else {
                    stream.plis += 1;
                    KeyframeRequestKind::Pli
                };
                events.push(Event::KeyframeRequest(KeyframeRequest {
                    mid: stream.mid,
                    rid: None,
                    kind,
                }));
            }
            Said::Bitrate(bitrate) => self.congestion.handle_remb(now, bitrate),
            Said::Arrivals(fci) => {
                if let Err(error) = self.congestion.handle_feedback(now, fci) {
                    tracing::debug!(%error, "transport-wide feedback is unusable");
                }
            }
            Said::Other => {}
        }
    }

    fn reported(&mut self, now: Instant, report: ReceptionReport) {
        if let Some(stream) = self.stream(report.ssrc) {
            if let Some(round_trip) = stream.heard(now, report) {
                self.congestion.handle_round_trip(now, round_trip);
            }
        } else if let Some(stream) = self
            .streams
            .iter_mut()
            .find(|stream| stream.resend_ssrc == Some(report.ssrc))
        {
            stream.resend_acknowledged = true;
        }
    }

    fn stream(&mut self, ssrc: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)
    }
}
