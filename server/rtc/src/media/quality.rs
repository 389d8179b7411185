//! How good a participant's connection is, 1 to 4.5 on the MOS scale.
//!
//! Sound is scored by the E-model (ITU-T G.107) in its short form: delay and loss lower a rating R, which maps to
//! MOS. A picture is scored by what arrives of what is wanted.

use std::time::{Duration, Instant};

use super::forward::Layer;
use crate::event::ConnectionQuality;

pub const MIN_SCORE: f32 = 1.0;
pub const MAX_SCORE: f32 = 4.5;

/// R of an undisturbed call.
const BEST_RATING: f32 = 93.2;

/// R lost per percent of lost packets: a codec with in-band correction hides part of it, redundancy (RED) most.
const LOSS_PENALTY: f32 = 2.5;
const LOSS_PENALTY_WITH_REDUNDANCY: f32 = 1.0;

/// Weight of the old score when the new one is lower (fast down) or higher (slow up).
const FALL: f32 = 0.8;
const RISE: f32 = 0.4;

/// Scores from here on are excellent, and from here on good.
const EXCELLENT: f32 = 4.1;
const GOOD: f32 = 3.0;

/// Silence of every unmuted track for so long means that the connection is lost. Clients that read `Lost` for some
/// seconds start over, so nothing less will do.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// What was measured of a sound since the last time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioSample {
    /// Part of packets lost, 0 to 1.
    pub loss: f32,
    pub round_trip: Duration,
    pub jitter: Duration,
    /// RED is in use.
    pub redundant: bool,
}

/// What was measured of a picture since the last time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoSample {
    /// Part of packets lost for good, 0 to 1.
    pub loss: f32,
    /// What is delivered; `None`: nothing.
    pub delivered: Option<Layer>,
    /// What would be delivered on a perfect connection.
    pub wanted: Layer,
}

/// The score of a sound.
pub fn audio_score(sample: &AudioSample) -> f32 {
    let delay = millis(sample.round_trip) / 2.0 + 2.0 * millis(sample.jitter);
    let delay_penalty = if delay < 160.0 {
        delay / 40.0
    } else {
        (delay - 120.0) / 10.0
    };
    let per_percent = if sample.redundant {
        LOSS_PENALTY_WITH_REDUNDANCY
    } else {
        LOSS_PENALTY
    };
    let rating = BEST_RATING - delay_penalty - per_percent * 100.0 * part(sample.loss);
    mos(rating)
}

/// The score of a picture: a spatial layer too few costs more than a temporal one, loss costs as with sound.
pub fn video_score(sample: &VideoSample) -> f32 {
    let Some(delivered) = sample.delivered else {
        return MIN_SCORE;
    };
    let spatial = f32::from(sample.wanted.spatial.saturating_sub(delivered.spatial));
    let temporal = f32::from(sample.wanted.temporal.saturating_sub(delivered.temporal));
    let score = mos(BEST_RATING - LOSS_PENALTY * 100.0 * part(sample.loss));
    (score - 0.9 * spatial - 0.35 * temporal).max(MIN_SCORE)
}

/// The quality of one participant's connection over time.
#[derive(Clone, Debug)]
pub struct ConnectionScore {
    score: f32,
    /// Since when no packet has come although there should be some.
    silent_since: Option<Instant>,
    lost: bool,
}

impl Default for ConnectionScore {
    fn default() -> Self {
        Self {
            score: MAX_SCORE,
            silent_since: None,
            lost: false,
        }
    }
}

impl ConnectionScore {
    /// Takes the scores of all of the participant's unmuted tracks, sent and received. Call each few seconds.
    ///
    /// `expecting`: the participant has unmuted tracks that ought to send. `received`: at least one packet of them
    /// came since the last call.
    pub fn update(
        &mut self,
        now: Instant,
        scores: impl IntoIterator<Item = f32>,
        expecting: bool,
        received: bool,
    ) {
        let silent = expecting && !received;
        let since = silent.then(|| self.silent_since.unwrap_or(now));
        self.silent_since = since;
        self.lost = since.is_some_and(|since| now.saturating_duration_since(since) >= LOST_AFTER);
        // The worst track is the one that is noticed.
        let worst = scores
            .into_iter()
            .map(|score| score.clamp(MIN_SCORE, MAX_SCORE))
            .reduce(f32::min);
        if let Some(new) = worst {
            let follow = if new < self.score { FALL } else { RISE };
            self.score += (new - self.score) * follow;
        }
    }

    /// 1 to 4.5.
    pub fn score(&self) -> f32 {
        if self.lost { MIN_SCORE } else { self.score }
    }

    /// The score's class.
    pub fn quality(&self) -> ConnectionQuality {
        match self.score {
            _ if self.lost => ConnectionQuality::Lost,
            score if score >= EXCELLENT => ConnectionQuality::Excellent,
            score if score >= GOOD => ConnectionQuality::Good,
            _ => ConnectionQuality::Poor,
        }
    }
}

/// The E-model's map from R to MOS.
fn mos(rating: f32) -> f32 {
    if rating <= 0.0 {
        return MIN_SCORE;
    }
    let score = 1.0 + 0.035 * rating + 7e-6 * rating * (rating - 60.0) * (100.0 - rating);
    score.clamp(MIN_SCORE, MAX_SCORE)
}

fn millis(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1_000.0
}

/// A ratio of peers' numbers, which may be anything.
fn part(ratio: f32) -> f32 {
    if ratio.is_finite() {
        ratio.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLEAN: AudioSample = AudioSample {
        loss: 0.0,
        round_trip: Duration::from_millis(40),
        jitter: Duration::from_millis(2),
        redundant: false,
    };

    #[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
    fn start() -> Instant {
        Instant::now()
    }

    fn class(score: f32) -> ConnectionQuality {
        ConnectionScore {
            score,
            ..ConnectionScore::default()
        }
        .quality()
    }

    #[test]
    fn a_clean_call_is_excellent_even_across_an_ocean() {
        assert_eq!(class(audio_score(&CLEAN)), ConnectionQuality::Excellent);
        let far = AudioSample {
            round_trip: Duration::from_millis(250),
            ..CLEAN
        };
        assert_eq!(class(audio_score(&far)), ConnectionQuality::Excellent);
    }

    #[test]
    fn loss_spoils_a_call_and_redundancy_hides_most_of_it() {
        let lossy = AudioSample {
            loss: 0.20,
            ..CLEAN
        };
        assert_eq!(class(audio_score(&lossy)), ConnectionQuality::Poor);
        let redundant = AudioSample {
            redundant: true,
            ..lossy
        };
        assert_eq!(class(audio_score(&redundant)), ConnectionQuality::Good);
    }

    #[test]
    fn a_picture_is_as_good_as_what_arrives_of_what_is_wanted() {
        let wanted = Layer {
            spatial: 2,
            temporal: 2,
        };
        let score = |delivered| {
            video_score(&VideoSample {
                loss: 0.0,
                delivered,
                wanted,
            })
        };
        assert_eq!(class(score(Some(wanted))), ConnectionQuality::Excellent);
        assert_eq!(
            class(score(Some(Layer {
                spatial: 1,
                temporal: 2
            }))),
            ConnectionQuality::Good
        );
        assert_eq!(
            class(score(Some(Layer {
                spatial: 0,
                temporal: 0
            }))),
            ConnectionQuality::Poor
        );
        assert_eq!(score(None), MIN_SCORE);
    }

    #[test]
    fn quality_falls_fast_and_recovers_slowly() {
        let now = start();
        let mut connection = ConnectionScore::default();
        connection.update(now, [MAX_SCORE, 1.0], true, true);
        assert!((connection.score() - 1.7).abs() < 0.01);
        connection.update(now, [MAX_SCORE], true, true);
        assert!((connection.score() - 2.82).abs() < 0.01);
    }

    #[test]
    fn only_long_silence_of_tracks_that_should_send_is_a_lost_connection() {
        let start = start();
        let mut connection = ConnectionScore::default();
        let mut at = |second: u64, expecting, received| {
            connection.update(start + Duration::from_secs(second), [], expecting, received);
            connection.quality()
        };
        assert_eq!(at(0, true, false), ConnectionQuality::Excellent);
        assert_eq!(at(5, true, true), ConnectionQuality::Excellent);
        assert_eq!(at(10, true, false), ConnectionQuality::Excellent);
        assert_eq!(
            at(15, false, false),
            ConnectionQuality::Excellent,
            "muted meanwhile"
        );
        assert_eq!(at(20, true, false), ConnectionQuality::Excellent);
        assert_eq!(at(29, true, false), ConnectionQuality::Excellent);
        assert_eq!(at(30, true, false), ConnectionQuality::Lost);
        assert_eq!(at(31, true, true), ConnectionQuality::Excellent);
    }

    proptest! {
        #[test]
        fn scores_stay_on_their_scale(loss: f32, round_trip in 0u64..100_000, jitter in 0u64..100_000) {
            let sample = AudioSample {
                loss,
                round_trip: Duration::from_millis(round_trip),
                jitter: Duration::from_millis(jitter),
                redundant: false,
            };
            let score = audio_score(&sample);
            prop_assert!((MIN_SCORE..=MAX_SCORE).contains(&score));
        }
    }
}
