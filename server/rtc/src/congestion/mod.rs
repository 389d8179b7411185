//! Send-side congestion control of one transport: how much the path to a receiver carries, and when packets may leave.
//!
//! In the manner of draft-ietf-rmcat-gcc-02. Each packet gets a transport-wide number; the receiver says when it arrived.
//! - [`history`] keeps what was sent, [`feedback`] reads what the receiver says.
//! - [`arrival`] compares groups of packets, [`trendline`] tells growing queues, [`rate`] turns that into an estimate by the
//!   bitrate that arrives ([`acknowledged`]).
//! - [`queueing`] knows how long standing queues are, [`sent`] how much of the estimate is used.
//! - [`loss`] bounds the estimate where loss shows that the path is full.
//! - [`probe`] finds out whether there is more when more is wanted ([`cluster`] is one probe).
//! - [`pacer`] spreads packets over time.
//!
//! All bitrates count UDP and IP headers. The work per packet is constant and allocates nothing.

mod acknowledged;
mod arrival;
mod cluster;
mod feedback;
mod history;
mod loss;
mod pacer;
mod probe;
mod queueing;
mod rate;
mod sent;
mod time;
mod trendline;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub use feedback::FeedbackError;

use acknowledged::Acknowledged;
use arrival::Arrivals;
use cluster::Outcome;
use feedback::{Feedback, reference_time};
use history::{History, News, Sent};
use loss::{Evidence, LossBound};
use pacer::Pacer;
use probe::{Prober, Situation};
use queueing::Queueing;
use rate::{MIN_BITRATE, RateControl, Signals};
use sent::SentRate;
use time::Micros;
use trendline::{Trendline, Usage};

/// IPv4 and UDP headers, which the path carries too.
const OVERHEAD: usize = 28;
/// A sender that uses less than this share of the estimate has no more to send.
const LIMITED: f64 = 0.65;
const ASSUMED_ROUND_TRIP: Micros = Micros::from_millis(100);
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);
/// Without feedback for this long and two round trips the estimate is halved.
const SILENCE: Micros = Micros::from_millis(500);
/// That few packets may all have been lost, or wait for the receiver's next report.
const FEW_PACKETS: u32 = 10;
/// Delays before and after a pause this long have nothing to do with each other.
const STALE: Micros = Micros::from_millis(2_000);
/// A transport that sent nothing for this long is not probed.
const LIVE: Micros = Micros::from_millis(2_000);
/// A receiver that bounds the bitrate repeats the bound much more often than this.
const REMB_LIFE: Micros = Micros::from_millis(10_000);
/// Feedback seldom tells of more packets; what a larger message took is given back.
const USUAL_REPORT: usize = 512;

/// Bandwidth estimation, probing and pacing of what is sent on one transport.
#[derive(Debug)]
pub struct Congestion {
    epoch: Instant,
    /// The last time asked about, and what it is here: all packets of a turn have the same.
    now: Cell<(Instant, Micros)>,
    history: History,
    arrivals: Arrivals,
    trendline: Trendline,
    acknowledged: Acknowledged,
    queueing: Queueing,
    sent: SentRate,
    rate: RateControl,
    loss: LossBound,
    prober: Prober,
    pacer: Pacer,
    demand: u64,
    remb: Option<(Micros, u64)>,
    /// From receiver reports; else from feedback, which is somewhat late.
    round_trip: Option<Micros>,
    feedback_round_trip: Option<Micros>,
    last_feedback_trip: Micros,
    /// The reference time of the last feedback, unwrapped.
    reference: Option<i64>,
    last_heard: Option<Micros>,
    /// The first packet sent since, and how many.
    unheard_since: Option<Micros>,
    unheard: u32,
    is_silent: bool,
    last_media: Option<Micros>,
    /// Packets of the feedback being read: arrival, packet, whether it came late.
    report: Vec<(Micros, Sent, bool)>,
}

impl Congestion {
    /// `initial`: bits per second assumed before anything is measured.
    pub fn new(now: Instant, initial: u64) -> Self {
        Self {
            epoch: now,
            now: Cell::new((now, Micros::ZERO)),
            history: History::default(),
            arrivals: Arrivals::default(),
            trendline: Trendline::default(),
            acknowledged: Acknowledged::default(),
            queueing: Queueing::default(),
            sent: SentRate::default(),
            rate: RateControl::new(Micros::ZERO, initial),
            loss: LossBound::default(),
            prober: Prober::default(),
            pacer: Pacer::new(Micros::ZERO, initial),
            demand: 0,
            remb: None,
            round_trip: None,
            feedback_round_trip: None,
            last_feedback_trip: Micros::ZERO,
            reference: None,
            last_heard: None,
            unheard_since: None,
            unheard: 0,
            is_silent: false,
            last_media: None,
            report: Vec::new(),
        }
    }

    /// Registers a packet about to leave and gives its transport-wide sequence number, which goes into its header extension.
    ///
    /// `bytes`: RTP header, extensions, payload and authentication tag; UDP and IP are added here.
    pub fn packet_sent(&mut self, now: Instant, bytes: usize) -> u16 {
        let now = self.micros(now);
        let bytes = u16::try_from(bytes + OVERHEAD).unwrap_or(u16::MAX);
        let cluster = self.prober.packet_sent(now, bytes);
        if cluster == 0 {
            self.last_media = Some(now);
        }
        self.unheard_since.get_or_insert(now);
        self.unheard = self.unheard.saturating_add(1);
        self.pacer.sent(now, bytes);
        self.sent.add(now, bytes);
        self.history.push(Sent {
            at: now,
            bytes,
            cluster,
        })
    }

    /// Takes a transport-wide feedback message (RTPFB, FMT 15; draft-holmer-rmcat-transport-wide-cc-extensions-01):
    /// the bytes after the media SSRC.
    ///
    /// # Errors
    /// When the message is malformed; nothing of it is applied then.
    pub fn handle_feedback(&mut self, now: Instant, fci: &[u8]) -> Result<(), FeedbackError> {
        let now = self.micros(now);
        let feedback = Feedback::parse(fci)?;
        self.hear(now);
        self.read(now, &feedback);

        let before = self.estimate();
        self.expire_remb(now);
        let acknowledged = self.acknowledged.bitrate();
        let round_trip = self.reaction_time();
        let used = self.sent.bitrate(now) as f64;
        let limited = used < LIMITED * self.rate.estimate() as f64;
        self.rate.update(
            now,
            Signals {
                usage: self.trendline.usage(),
                acknowledged,
                round_trip,
                limited,
                queueing: self.queueing.current(),
            },
        );
        let evidence = Evidence {
            estimate: self.rate.estimate(),
            acknowledged: acknowledged.unwrap_or(0),
            round_trip: self.last_feedback_trip.max(round_trip),
            queueing: self.queueing.current(),
        };
        self.loss.update(now, evidence);
        let after = self.estimate();
        if after < before {
            self.prober.fell(now, before, after);
        }
        self.conclude_probes(now);
        self.prober.decide(now, self.situation(now));
        self.pacer.set_estimate(now, self.estimate());
        Ok(())
    }

    /// The receiver's own upper bound in bits per second (draft-alvestrand-rmcat-remb-03).
    pub fn handle_remb(&mut self, now: Instant, bitrate: u64) {
        let now = self.micros(now);
        self.remb = Some((now, bitrate));
        self.pacer.set_estimate(now, self.estimate());
    }

    /// Round trip from receiver reports (RFC 3550 section 6.4.1).
    pub fn handle_round_trip(&mut self, _now: Instant, round_trip: Duration) {
        let sample = Micros::from(round_trip.min(MAX_ROUND_TRIP));
        self.round_trip = Some(smooth(self.round_trip, sample));
    }

    /// Bits per second the allocator could make use of. Probes never go beyond it plus a margin of a fifth, and none are sent
    /// if the estimate covers it.
    pub fn set_demand(&mut self, now: Instant, bitrate: u64) {
        let now = self.micros(now);
        self.demand = bitrate;
        self.prober.demand_changed(now, self.situation(now));
    }

    /// What the path is believed to carry, in bits per second.
    pub fn estimate(&self) -> u64 {
        let mut estimate = self.rate.estimate();
        if let Some(bound) = self.loss.bound() {
            estimate = estimate.min(bound);
        }
        if let Some((_, bound)) = self.remb {
            estimate = estimate.min(bound);
        }
        estimate.max(MIN_BITRATE)
    }

    /// Smoothed round trip, once known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
            .or(self.feedback_round_trip)
            .map(Micros::duration)
    }

    /// Whether a media packet may leave now. Audio does not ask. A frame passes at once: only what exceeds 40 ms at the pacing
    /// bitrate, and at least 16 full packets, waits.
    pub fn admits(&mut self, now: Instant) -> bool {
        let now = self.micros(now);
        match self.prober.sending() {
            // Media is as good for a probe as padding, if it leaves at the probe's pace.
            Some(at) => now >= at,
            None => self.pacer.admits(now),
        }
    }

    /// When [`Self::admits`] turns true again, if it is false.
    pub fn admits_at(&self) -> Instant {
        let at = self.prober.sending();
        self.instant(at.unwrap_or_else(|| self.pacer.admits_at()))
    }

    /// Bytes of padding that should leave now because of a probe. To be asked until it gives `None`.
    pub fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        self.last_media?;
        let now = self.micros(now);
        self.prober.poll(now)
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_probe`] has work next; `None` = never, as things are.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.last_media?;
        let wanting = self.demand > self.estimate();
        let probe = self.prober.poll_timeout(wanting);
        let next = [probe, self.silent_at()].into_iter().flatten().min()?;
        Some(self.instant(next))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.micros(now);
        if self.silent_at().is_some_and(|at| now >= at) {
            let before = self.estimate();
            self.rate.halve(now);
            self.is_silent = true;
            // The next packet sent starts the clock again; an idle transport is left alone.
            (self.unheard_since, self.unheard) = (None, 0);
            self.prober.fell(now, before, self.estimate());
        }
        self.conclude_probes(now);
        self.prober.decide(now, self.situation(now));
        self.pacer.set_estimate(now, self.estimate());
    }

    fn hear(&mut self, now: Micros) {
        if self.last_heard.is_some_and(|last| now - last > STALE) {
            self.arrivals = Arrivals::default();
            self.trendline = Trendline::default();
        }
        if std::mem::take(&mut self.is_silent) {
            self.loss.restart();
            self.prober.heard_again(now);
        }
        self.last_heard = Some(now);
        (self.unheard_since, self.unheard) = (None, 0);
    }

    /// Takes in what a message says of each packet.
    fn read(&mut self, now: Micros, feedback: &Feedback) {
        let units = i64::from(feedback.reference);
        // The difference of two 24-bit numbers, which wrap every twelve days.
        let units = self.reference.map_or(units, |last| {
            last + i64::from(((units - last) as i32) << 8 >> 8)
        });
        self.reference = Some(units);
        let reference = reference_time(units);

        for status in feedback.statuses() {
            match self
                .history
                .report(status.sequence, status.arrival.is_some())
            {
                Some(News::Arrived { sent, late }) => {
                    let arrival = reference + status.arrival.unwrap_or_default();
                    self.report.push((arrival, sent, late));
                }
                Some(News::Missing(sent)) => {
                    self.loss.missing(sent.bytes);
                    self.prober.missing(sent.cluster);
                }
                None => {}
            }
        }
        if !self.report.is_sorted_by_key(|(arrival, ..)| *arrival) {
            self.report
                .sort_unstable_by_key(|(arrival, sent, _)| (*arrival, sent.at));
        }
        for (arrival, sent, late) in &self.report {
            self.loss.arrived(sent.bytes, *late);
            self.acknowledged.add(*arrival, sent.bytes);
            self.prober.arrived(*sent, *arrival, *late);
            if let Some(variation) = self.arrivals.add(sent.at, *arrival, now) {
                self.trendline.add(now, variation);
            }
        }
        let transits = self
            .report
            .iter()
            .map(|(arrival, sent, _)| *arrival - sent.at);
        if let Some(shortest) = transits.min() {
            self.queueing.add(now, shortest);
        }
        if let Some(newest) = self.report.iter().map(|(_, sent, _)| sent.at).max() {
            self.last_feedback_trip = now - newest;
            self.feedback_round_trip =
                Some(smooth(self.feedback_round_trip, self.last_feedback_trip));
        }
        self.report.clear();
        self.report.shrink_to(USUAL_REPORT);
    }

    fn conclude_probes(&mut self, now: Micros) {
        while let Some((target, outcome)) = self.prober.poll_outcome(now) {
            if let Outcome::Carried(bitrate) = outcome {
                if bitrate > self.estimate() {
                    self.loss.proven();
                }
                self.rate.proven(now, bitrate);
            }
            self.prober
                .concluded(now, target, outcome, self.situation(now));
        }
    }

    fn situation(&self, now: Micros) -> Situation {
        Situation {
            estimate: self.estimate(),
            demand: self.demand,
            heard: self.last_heard.is_some() && !self.is_silent,
            live: self.last_media.is_some_and(|last| now - last < LIVE),
            clear: self.trendline.usage() != Usage::Over && !self.loss.is_lowered(),
        }
    }

    fn expire_remb(&mut self, now: Micros) {
        self.remb = self.remb.filter(|(since, _)| now - *since < REMB_LIFE);
    }

    /// A receiver never heard from may not know this feedback at all, so that its silence says nothing.
    fn silent_at(&self) -> Option<Micros> {
        self.last_heard?;
        let trips = self.reaction_time();
        self.unheard_since
            .filter(|_| self.unheard > FEW_PACKETS)
            .map(|since| since + SILENCE + trips + trips)
    }

    fn reaction_time(&self) -> Micros {
        self.round_trip
            .or(self.feedback_round_trip)
            .unwrap_or(ASSUMED_ROUND_TRIP)
    }

    fn micros(&self, now: Instant) -> Micros {
        let (last, micros) = self.now.get();
        if last == now {
            return micros;
        }
        let micros = Micros::from(now.saturating_duration_since(self.epoch));
        self.now.set((now, micros));
        micros
    }

    fn instant(&self, at: Micros) -> Instant {
        self.epoch + at.duration()
    }
}

/// RFC 6298 section 2.
fn smooth(known: Option<Micros>, sample: Micros) -> Micros {
    known.map_or(sample, |known| Micros(known.0 + (sample.0 - known.0) / 8))
}
