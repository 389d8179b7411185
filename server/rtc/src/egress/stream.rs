//! One media stream to a subscriber: its SSRCs, counters and reports.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use str0m::stats::{MediaEgressStats, RemoteIngressStats};
use tradewind_srtp::ReplayWindow;

use super::Section;
use super::header::ExtensionIds;
use super::media::{OutgoingPacket, ntp_of_unix};
use super::ring::{MAX_AUDIO, MAX_VIDEO, Ring};
use super::rtcp::ReceptionReport;
use crate::context::WallClock;
use crate::id::Mid;
use crate::info::TrackKind;

/// How often receivers are told how our clocks map (RFC 3550 section 6.2 asks for five seconds at most).
const VIDEO_REPORTS: Duration = Duration::from_secs(1);
const AUDIO_REPORTS: Duration = Duration::from_secs(5);
/// Sender reports remembered to measure the round trip by.
const REPORTS_KEPT: usize = 4;
/// A round trip beyond this is an error of the receiver.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);

/// A payload type and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PayloadType {
    pub(crate) number: u8,
    /// In which it is sent again.
    pub(crate) resend: Option<u8>,
    /// Ticks per second.
    pub(crate) clock_rate: u32,
}

pub(super) struct Stream {
    pub(super) mid: Mid,
    pub(super) kind: TrackKind,
    pub(super) ssrc: u32,
    pub(super) resend_ssrc: Option<u32>,
    pub(super) ids: ExtensionIds,
    /// Our canonical name in the section's description.
    pub(super) cname: String,
    /// What was last sent, and what its payload type means.
    pub(super) payload_type: Option<PayloadType>,
    /// The receiver knows which section the SSRC belongs to.
    pub(super) acknowledged: bool,
    pub(super) resend_acknowledged: bool,
    pub(super) ring: Ring,
    /// Index of the next packet on the resend SSRC.
    next_resend: u64,
    /// Indices sealed on the media SSRC: a second seal would give the key stream away.
    sealed: ReplayWindow,
    /// RTP time and when it was captured, of the last packet.
    last: Option<(u32, Instant)>,
    /// Number of the last packet sent that may be sent again. Later ones may wait in the queue.
    last_kept: Option<u64>,
    last_sent: Option<Instant>,
    packets: u64,
    bytes: u64,
    nacks: u64,
    pub(super) plis: u64,
    pub(super) firs: u64,
    report_at: Option<Instant>,
    /// Compact NTP time and our time of the last reports.
    reported: [Option<(u32, Instant)>; REPORTS_KEPT],
    round_trip: Option<Duration>,
    heard: Option<ReceptionReport>,
}

impl Stream {
    pub(super) fn new(section: Section) -> Self {
        let Section {
            mid,
            kind,
            ssrc,
            resend_ssrc,
            ids,
            cname,
        } = section;
        Self {
            mid,
            kind,
            ssrc,
            resend_ssrc,
            ids,
            cname,
            payload_type: None,
            acknowledged: false,
            resend_acknowledged: false,
            ring: Ring::new(match kind {
                TrackKind::Audio => MAX_AUDIO,
                TrackKind::Video => MAX_VIDEO,
            }),
            next_resend: 1,
            sealed: ReplayWindow::default(),
            last: None,
            last_kept: None,
            last_sent: None,
            packets: 0,
            bytes: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            report_at: None,
            reported: [None; REPORTS_KEPT],
            round_trip: None,
            heard: None,
        }
    }

    /// The same section with fresh SSRCs, whose counters begin anew.
    pub(super) fn renewed(&self, ssrc: u32, resend_ssrc: Option<u32>) -> Self {
        Self::new(Section {
            mid: self.mid,
            kind: self.kind,
            ssrc,
            resend_ssrc,
            ids: self.ids,
            cname: self.cname.clone(),
        })
    }

    /// Claims an index of the media SSRC; false if it was sealed before, or may have been.
    pub(super) fn claim(&mut self, index: u64) -> bool {
        self.sealed.note(index)
    }

    /// Claims the next index of the resend SSRC.
    pub(super) fn claim_resend(&mut self) -> u64 {
        self.next_resend += 1;
        self.next_resend - 1
    }

    pub(super) fn is_idle(&self) -> bool {
        self.last_sent.is_none()
    }

    /// The RTP timestamp padding goes by.
    pub(super) fn last_timestamp(&self) -> Option<u32> {
        self.last.map(|(timestamp, _)| timestamp)
    }

    /// The newest packet that has been sent and may be sent again, if its payload has a size within `bytes`: padding with
    /// something of use.
    pub(super) fn newest_sent(&self, bytes: RangeInclusive<usize>) -> Option<OutgoingPacket> {
        self.ring.get(self.last_kept?, bytes)
    }

    pub(super) fn note_sent(&mut self, now: Instant, packet: &OutgoingPacket) {
        self.packets += 1;
        self.bytes += packet.media.payload.len() as u64;
        self.last_sent = Some(now);
        self.last = Some((packet.timestamp, packet.media.captured));
        if packet.keep {
            self.last_kept = Some(packet.sequence);
        }
        // The first report goes at once: without it sound and picture cannot be matched.
        self.report_at.get_or_insert(now);
    }

    pub(super) fn note_nack(&mut self) {
        self.nacks += 1;
    }

    pub(super) fn report_at(&self) -> Option<Instant> {
        self.report_at
    }

    /// Appends a sender report and our name; false if there is nothing to say.
    pub(super) fn write_report(
        &mut self,
        now: Instant,
        clock: &WallClock,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let interval = match self.kind {
            TrackKind::Audio => AUDIO_REPORTS,
            TrackKind::Video => VIDEO_REPORTS,
        };
        let active = self
            .last_sent
            .is_some_and(|at| now.saturating_duration_since(at) <= 2 * interval);
        self.report_at = active.then_some(now + interval);
        let (Some((timestamp, captured)), Some(payload_type), true) =
            (self.last, self.payload_type, active)
        else {
            return false;
        };
        let since = now.saturating_duration_since(captured).as_micros() as u64;
        let ticks = since * u64::from(payload_type.clock_rate) / 1_000_000;
        let ntp = ntp_of_unix(clock.unix_us(now));
        self.reported.rotate_right(1);
        self.reported[0] = Some(((ntp >> 16) as u32, now));
        buffer.extend_from_slice(&[0x80, 200, 0, 6]);
        buffer.extend_from_slice(&self.ssrc.to_be_bytes());
        buffer.extend_from_slice(&ntp.to_be_bytes());
        buffer.extend_from_slice(&timestamp.wrapping_add(ticks as u32).to_be_bytes());
        buffer.extend_from_slice(&(self.packets as u32).to_be_bytes());
        buffer.extend_from_slice(&(self.bytes as u32).to_be_bytes());
        write_description(self.ssrc, &self.cname, buffer);
        true
    }

    /// Takes a report on our media SSRC; gives back the round trip if it tells one.
    pub(super) fn heard(&mut self, now: Instant, report: ReceptionReport) -> Option<Duration> {
        self.acknowledged = true;
        self.heard = Some(report);
        let known = self.reported.iter().flatten();
        let (_, sent) = known
            .into_iter()
            .find(|(ntp, _)| *ntp == report.last_report)?;
        let held = Duration::from_secs_f64(f64::from(report.delay) / 65_536.0);
        let round_trip = now.saturating_duration_since(*sent).checked_sub(held)?;
        if report.last_report == 0 || round_trip > MAX_ROUND_TRIP {
            return None;
        }
        self.round_trip = Some(round_trip);
        Some(round_trip)
    }

    /// Totals, unless nothing has been sent yet.
    pub(super) fn stats(&self, now: Instant) -> Option<MediaEgressStats> {
        self.last_sent?;
        Some(MediaEgressStats {
            mid: self.mid,
            rid: None,
            bytes: self.bytes,
            packets: self.packets,
            firs: self.firs,
            plis: self.plis,
            nacks: self.nacks,
            rtt: self.round_trip,
            loss: self
                .heard
                .map(|report| f32::from(report.fraction_lost) / 256.0),
            timestamp: now,
            remote: self.heard.map(|report| RemoteIngressStats {
                jitter: report.jitter,
                maximum_sequence_number: u64::from(report.highest_sequence).into(),
                packets_lost: report.total_lost.max(0).unsigned_abs().into(),
            }),
        })
    }
}

/// Source description with our canonical name (RFC 3550 section 6.5).
fn write_description(ssrc: u32, cname: &str, buffer: &mut Vec<u8>) {
    let name = cname.as_bytes().get(..255).unwrap_or(cname.as_bytes());
    // SSRC, item header, name, and at least one zero that ends the list.
    let length = (4 + 2 + name.len() + 1).next_multiple_of(4);
    buffer.extend_from_slice(&[0x81, 202]);
    buffer.extend_from_slice(&((length / 4) as u16).to_be_bytes());
    let end = buffer.len() + length;
    buffer.extend_from_slice(&ssrc.to_be_bytes());
    buffer.extend_from_slice(&[1, name.len() as u8]);
    buffer.extend_from_slice(name);
    buffer.resize(end, 0);
}

/// An empty receiver report and a goodbye (RFC 3550 section 6.6).
pub(super) fn write_goodbye(ssrc: u32, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&[0x80, 201, 0, 1]);
    buffer.extend_from_slice(&ssrc.to_be_bytes());
    buffer.extend_from_slice(&[0x81, 203, 0, 1]);
    buffer.extend_from_slice(&ssrc.to_be_bytes());
}
