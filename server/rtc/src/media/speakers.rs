//! Who is speaking, from the audio levels in RTP headers (RFC 6464).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Speaker;
use crate::id::ParticipantSid;

/// Quieter than this, in dB below the loudest possible, is background.
const ACTIVE_LEVEL: f32 = 35.0;
/// Share of a window that must be loud for it to count as speech.
const MIN_SHARE: f32 = 0.4;
/// Weight of the newest window: the mean over about two.
const SMOOTHING: f32 = 2.0 / 3.0;
/// What one packet stands for where its duration is not known.
const PACKET: Duration = Duration::from_millis(20);
/// Changes of level below this are not told.
const LEVEL_STEP: f32 = 0.05;

/// The loudness of one track.
#[derive(Debug, Default)]
pub struct SpeakerObserver {
    window_start: Option<Instant>,
    loud: Duration,
    loudest: f32,
    smoothed: f32,
}

impl SpeakerObserver {
    /// Takes the level of a packet: 0 (loudest) to -127 dBov.
    pub fn observe(&mut self, now: Instant, level: i8) {
        self.window_start.get_or_insert(now);
        let below = f32::from(level).abs();
        if below <= ACTIVE_LEVEL {
            if self.loud.is_zero() || below < self.loudest {
                self.loudest = below;
            }
            self.loud += PACKET;
        }
    }

    /// Ends a window: the level in it from 0 to 1, `None` if there was no speech.
    pub fn level(&mut self, now: Instant) -> Option<f32> {
        let window = now.saturating_duration_since(self.window_start?);
        let share =
            (self.loud.as_secs_f32() / window.as_secs_f32().max(PACKET.as_secs_f32())).min(1.0);
        let current = if share >= MIN_SHARE {
            // Speech that fills only part of the window counts as quieter.
            let below = self.loudest - 20.0 * share.log10();
            10f32.powf(-below / 20.0)
        } else {
            0.0
        };
        self.smoothed += (current - self.smoothed) * SMOOTHING;
        self.window_start = Some(now);
        self.loud = Duration::ZERO;
        (self.smoothed >= 10f32.powf(-ACTIVE_LEVEL / 20.0)).then_some(self.smoothed.min(1.0))
    }
}

/// The active speakers of a room, and what was told of them.
#[derive(Debug, Default)]
pub struct ActiveSpeakers {
    current: BTreeMap<ParticipantSid, f32>,
    told: BTreeMap<ParticipantSid, f32>,
}

impl ActiveSpeakers {
    /// Notes the level of one of a participant's tracks in this window; the loudest counts.
    pub fn note(&mut self, participant: &ParticipantSid, level: Option<f32>) {
        if let Some(level) = level {
            let known = self.current.entry(participant.clone()).or_default();
            *known = known.max(level);
        }
    }

    /// Shows a participant as speaking until the next window says otherwise.
    pub fn force_active(&mut self, participant: &ParticipantSid) {
        self.told.insert(participant.clone(), 1.0);
    }

    /// Ends a window: what changed, loudest first, those who fell silent last.
    pub fn update(&mut self) -> Vec<Speaker> {
        let current = std::mem::take(&mut self.current);
        let mut changes: Vec<Speaker> = current
            .iter()
            .filter(|(sid, level)| {
                self.told
                    .get(*sid)
                    .is_none_or(|told| (told - **level).abs() >= LEVEL_STEP)
            })
            .map(|(sid, level)| Speaker {
                participant: sid.clone(),
                level: *level,
                active: true,
            })
            .collect();
        changes.sort_by(|a, b| b.level.total_cmp(&a.level));
        let silent = self.told.keys().filter(|sid| !current.contains_key(*sid));
        changes.extend(silent.map(|sid| Speaker {
            participant: sid.clone(),
            level: 0.0,
            active: false,
        }));
        for change in &changes {
            if change.active {
                self.told.insert(change.participant.clone(), change.level);
            } else {
                self.told.remove(&change.participant);
            }
        }
        changes
    }

    /// Whether somebody has been told to be speaking.
    pub fn is_anybody_active(&self) -> bool {
        !self.told.is_empty()
    }

    /// Forgets a participant that left.
    pub fn remove(&mut self, participant: &ParticipantSid) {
        self.current.remove(participant);
        self.told.remove(participant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(400);

    #[test]
    fn speech_is_active_and_background_is_not() {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant can only be made from the clock"
        )]
        let start = Instant::now();
        let (mut speech, mut noise, mut cough) = (
            SpeakerObserver::default(),
            SpeakerObserver::default(),
            SpeakerObserver::default(),
        );
        for packet in 0..20u32 {
            let at = start + PACKET * packet;
            speech.observe(at, -20);
            noise.observe(at, -60);
            cough.observe(at, if packet < 4 { -10 } else { -80 });
        }
        let level = speech.level(start + WINDOW).expect("active");
        assert!((0.05..0.2).contains(&level), "{level}");
        assert_eq!(noise.level(start + WINDOW), None);
        assert_eq!(cough.level(start + WINDOW), None);
    }

    #[test]
    fn who_falls_silent_is_told_once() {
        let (a, b) = (ParticipantSid::from("PA_a"), ParticipantSid::from("PA_b"));
        let mut speakers = ActiveSpeakers::default();
        speakers.note(&a, Some(0.2));
        speakers.note(&b, Some(0.5));
        let names = |changes: Vec<Speaker>| -> Vec<(String, bool)> {
            changes
                .into_iter()
                .map(|speaker| (speaker.participant.to_string(), speaker.active))
                .collect()
        };
        assert_eq!(
            names(speakers.update()),
            [("PA_b".into(), true), ("PA_a".into(), true)]
        );
        speakers.note(&b, Some(0.51));
        assert_eq!(names(speakers.update()), [("PA_a".into(), false)]);
        assert_eq!(names(speakers.update()), [("PA_b".into(), false)]);
        assert!(!speakers.is_anybody_active());
    }
}
