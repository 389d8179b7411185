//! How good a participant's connection is, on the scale people know from telephony.

use std::time::Duration;

use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats};

use crate::event::ConnectionQuality;

/// E-model base rating (ITU-T G.107 with default values).
const BASE_RATING: f32 = 93.2;
/// Rating lost per percent of packets lost, after retransmission and concealment took their share.
const LOSS_WEIGHT: f32 = 2.5;
/// How fast the score follows a fall and a rise: bad news at once, good news when it lasts.
const FALL: f32 = 0.8;
const RISE: f32 = 0.4;
const EXCELLENT: f32 = 4.0;
const GOOD: f32 = 3.0;

/// Scores one participant. It never calls a connection lost: clients that are gone are removed instead, and SDKs that
/// are told "lost" start over.
#[derive(Debug, Default)]
pub struct QualityScorer {
    round_trip: Option<Duration>,
    /// As the transport saw it, by ICE or RTCP; never what the client says.
    measured: Option<Duration>,
    /// Shares of packets lost since the last update, 0 to 1: the worst of all streams.
    loss: f32,
    score: Option<f32>,
    told: Option<ConnectionQuality>,
}

impl QualityScorer {
    /// Takes the statistics of the whole transport.
    pub fn peer(&mut self, stats: &PeerStats) {
        self.note_round_trip(stats.rtt);
        self.note_loss(stats.egress_loss_fraction);
        self.note_loss(stats.ingress_loss_fraction);
    }

    /// Takes the statistics of a stream from the client.
    pub fn ingress(&mut self, stats: &MediaIngressStats) {
        self.note_round_trip(stats.rtt);
        self.note_loss(stats.loss);
    }

    /// Takes the statistics of a stream to the client.
    pub fn egress(&mut self, stats: &MediaEgressStats) {
        self.note_round_trip(stats.rtt);
        self.note_loss(stats.loss);
    }

    /// Takes the round trip of the signalling connection, used while media has none.
    pub fn signalling_round_trip(&mut self, round_trip: Duration) {
        self.round_trip.get_or_insert(round_trip);
    }

    /// The newest round trip that the transport measured by ICE or RTCP.
    pub fn measured_round_trip(&self) -> Option<Duration> {
        self.measured
    }

    /// Ends an interval: quality and score, if the quality changed.
    pub fn update(&mut self) -> Option<(ConnectionQuality, f32)> {
        let current = mean_opinion(
            self.round_trip.unwrap_or_default(),
            std::mem::take(&mut self.loss),
        );
        let score = match self.score {
            None => current,
            Some(known) if current < known => known + (current - known) * FALL,
            Some(known) => known + (current - known) * RISE,
        };
        self.score = Some(score);
        let quality = match score {
            score if score >= EXCELLENT => ConnectionQuality::Excellent,
            score if score >= GOOD => ConnectionQuality::Good,
            _ => ConnectionQuality::Poor,
        };
        (self.told.replace(quality) != Some(quality)).then_some((quality, score))
    }

    fn note_round_trip(&mut self, measured: Option<Duration>) {
        self.measured = measured.or(self.measured);
        self.round_trip = measured.or(self.round_trip);
    }

    fn note_loss(&mut self, share: Option<f32>) {
        if let Some(share) = share.filter(|share| share.is_finite()) {
            self.loss = self.loss.max(share.clamp(0.0, 1.0));
        }
    }
}

/// Mean opinion score from 1 to 4.5 by a simplified E-model: one-way delay and lost share in, rating to opinion out.
fn mean_opinion(round_trip: Duration, loss: f32) -> f32 {
    let delay = round_trip.as_secs_f32() * 1_000.0 / 2.0;
    let delay_penalty = if delay < 160.0 {
        delay / 40.0
    } else {
        (delay - 120.0) / 10.0
    };
    let rating = (BASE_RATING - delay_penalty - LOSS_WEIGHT * loss * 100.0).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + 7e-6 * rating * (rating - 60.0) * (100.0 - rating)).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinion_falls_with_delay_and_loss() {
        let ms = Duration::from_millis;
        let (near, far, lossy) = (
            mean_opinion(ms(20), 0.0),
            mean_opinion(ms(600), 0.0),
            mean_opinion(ms(20), 0.1),
        );
        assert!(
            near > 4.3 && far < near && lossy < far,
            "{near} {far} {lossy}"
        );
        assert!(mean_opinion(ms(60_000), 1.0) >= 1.0);
    }

    #[test]
    fn bad_news_comes_at_once_and_good_news_when_it_lasts() {
        let mut scorer = QualityScorer::default();
        assert_eq!(
            scorer.update().map(|(quality, _)| quality),
            Some(ConnectionQuality::Excellent)
        );
        assert_eq!(scorer.update(), None);
        scorer.note_loss(Some(0.3));
        assert_eq!(
            scorer.update().map(|(quality, _)| quality),
            Some(ConnectionQuality::Poor)
        );
        assert_eq!(scorer.update(), None, "one good interval is not enough");
        scorer.note_loss(Some(f32::NAN));
        let recovered = (0..8).filter_map(|_| scorer.update()).last();
        assert_eq!(
            recovered.map(|(quality, _)| quality),
            Some(ConnectionQuality::Excellent)
        );
    }
}
