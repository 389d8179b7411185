//! Who speaks, from the audio levels that clients put into packet headers (RFC 6464). No audio is decoded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Speaker;
use crate::id::ParticipantSid;

/// How often speakers are determined.
pub const UPDATE_INTERVAL: Duration = Duration::from_millis(400);

/// Levels this far below full scale or louder count as speech, in dB.
const ACTIVE_LEVEL: f32 = 35.0;

/// Part of an interval that must be speech, so that a cough makes no speaker.
const MIN_ACTIVE_PART: f32 = 0.40;

/// Exponential smoothing over about two intervals: 2 / (n + 1).
const SMOOTHING: f32 = 2.0 / 3.0;

/// Levels are told in eighths, so that a steady voice causes no updates.
const LEVEL_STEPS: f32 = 8.0;

/// Duration of a packet whose predecessor tells nothing: the usual one of Opus.
const USUAL_PACKET: Duration = Duration::from_millis(20);

/// Longer gaps between packets are silence (discontinuous transmission), not one long packet.
const LONGEST_PACKET: Duration = Duration::from_millis(120);

/// The loudness of one audio track.
#[derive(Clone, Debug, Default)]
pub struct SpeakerObserver {
    last: Option<Instant>,
    /// Time of speech in the current interval.
    active: Duration,
    /// Loudest level in it, dB below full scale.
    loudest: Option<f32>,
    smoothed: f32,
}

impl SpeakerObserver {
    /// Takes a packet's level in dBov: 0 is full scale, -127 silence.
    pub fn observe(&mut self, now: Instant, level: i8) {
        let gap = self.last.map(|last| now.saturating_duration_since(last));
        self.last = Some(now);
        let below_full_scale = -f32::from(level.min(0));
        if below_full_scale <= ACTIVE_LEVEL {
            self.active += gap
                .filter(|gap| *gap <= LONGEST_PACKET)
                .unwrap_or(USUAL_PACKET);
            self.loudest = Some(
                self.loudest
                    .map_or(below_full_scale, |loudest| loudest.min(below_full_scale)),
            );
        }
    }

    /// Ends an interval of [`UPDATE_INTERVAL`]: the smoothed level, 0 (silent) to 1 (full scale), linear.
    fn finish_interval(&mut self) -> f32 {
        let part = (self.active.as_secs_f32() / UPDATE_INTERVAL.as_secs_f32()).min(1.0);
        let level = match self.loudest {
            // Speech that fills less of the interval counts as so much less loud.
            Some(loudest) if part >= MIN_ACTIVE_PART => linear(loudest) * part,
            _ => 0.0,
        };
        self.smoothed += (level - self.smoothed) * SMOOTHING;
        self.active = Duration::ZERO;
        self.loudest = None;
        self.smoothed
    }
}

/// The speakers of one room.
#[derive(Clone, Debug, Default)]
pub struct ActiveSpeakers {
    next_update: Option<Instant>,
    /// Those told as active, with the level told.
    told: BTreeMap<ParticipantSid, f32>,
}

impl ActiveSpeakers {
    /// When to call [`Self::update`] next; `None` before the first call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_update
    }

    /// If an interval has ended, determines who speaks. `observers` are all audio tracks that are not muted, each
    /// with its participant. Gives the changes only, loudest first; who fell silent or left is told as not active.
    pub fn update<'a>(
        &mut self,
        now: Instant,
        observers: impl IntoIterator<Item = (&'a ParticipantSid, &'a mut SpeakerObserver)>,
    ) -> Vec<Speaker> {
        if self.next_update.is_some_and(|due| now < due) {
            return Vec::new();
        }
        self.next_update = Some(now + UPDATE_INTERVAL);

        let mut speaking: BTreeMap<ParticipantSid, f32> = BTreeMap::new();
        for (participant, observer) in observers {
            let level = observer.finish_interval();
            if level >= linear(ACTIVE_LEVEL) {
                let told = ((level * LEVEL_STEPS).ceil() / LEVEL_STEPS).min(1.0);
                let loudest = speaking.entry(participant.clone()).or_insert(told);
                *loudest = loudest.max(told);
            }
        }
        let silent = (self.told.keys())
            .filter(|participant| !speaking.contains_key(participant))
            .map(|participant| Speaker {
                participant: participant.clone(),
                level: 0.0,
                active: false,
            });
        let mut changes: Vec<_> = (speaking.iter())
            .filter(|(participant, level)| self.told.get(participant) != Some(level))
            .map(|(participant, level)| Speaker {
                participant: participant.clone(),
                level: *level,
                active: true,
            })
            .chain(silent)
            .collect();
        changes.sort_by(|one, other| other.level.total_cmp(&one.level));
        self.told = speaking;
        changes
    }

    /// Those who speak now, for somebody who has just joined; loudest first.
    pub fn current(&self) -> Vec<Speaker> {
        let mut speakers: Vec<_> = (self.told.iter())
            .map(|(participant, level)| Speaker {
                participant: participant.clone(),
                level: *level,
                active: true,
            })
            .collect();
        speakers.sort_by(|one, other| other.level.total_cmp(&one.level));
        speakers
    }
}

fn linear(below_full_scale: f32) -> f32 {
    10f32.powf(-below_full_scale / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
    fn start() -> Instant {
        Instant::now()
    }

    struct Room {
        now: Instant,
        speakers: ActiveSpeakers,
        people: Vec<(ParticipantSid, SpeakerObserver)>,
    }

    impl Room {
        fn new() -> Self {
            let people = ["PA_a", "PA_b"]
                .map(|sid| (sid.into(), SpeakerObserver::default()))
                .into();
            let mut room = Self {
                now: start(),
                speakers: ActiveSpeakers::default(),
                people,
            };
            room.interval([&[], &[]]);
            room
        }

        /// Plays an interval of 20 packets with these levels each, repeated over the interval.
        fn interval(&mut self, levels: [&[i8]; 2]) -> Vec<(String, f32, bool)> {
            for packet in 0..20 {
                self.now += USUAL_PACKET;
                for ((_, observer), levels) in self.people.iter_mut().zip(levels) {
                    if let Some(level) = levels.get(packet % levels.len().max(1)) {
                        observer.observe(self.now, *level);
                    }
                }
            }
            let observers = self
                .people
                .iter_mut()
                .map(|(sid, observer)| (&*sid, observer));
            (self.speakers.update(self.now, observers).into_iter())
                .map(|speaker| {
                    (
                        speaker.participant.to_string(),
                        speaker.level,
                        speaker.active,
                    )
                })
                .collect()
        }
    }

    #[test]
    fn a_voice_makes_a_speaker_and_silence_ends_it() {
        let mut room = Room::new();
        let first = room.interval([&[-20], &[-127]]);
        assert_eq!(first, [("PA_a".to_owned(), 0.125, true)]);
        assert_eq!(room.interval([&[-20], &[-127]]), [], "nothing new");
        let mut later = Vec::new();
        for _ in 0..8 {
            later.extend(room.interval([&[-127], &[-127]]));
        }
        assert_eq!(later, [("PA_a".to_owned(), 0.0, false)]);
    }

    #[test]
    fn a_cough_and_a_murmur_make_no_speaker() {
        let mut room = Room::new();
        let cough: &[i8] = &[-10, -127, -127, -127, -127];
        for _ in 0..5 {
            assert_eq!(room.interval([cough, &[-50]]), []);
        }
    }

    #[test]
    fn the_loudest_comes_first_and_a_newcomer_learns_of_all() {
        let mut room = Room::new();
        let changes = room.interval([&[-30], &[-5]]);
        assert_eq!(
            changes
                .iter()
                .map(|change| change.0.as_str())
                .collect::<Vec<_>>(),
            ["PA_b", "PA_a"]
        );
        let current: Vec<_> = room
            .speakers
            .current()
            .into_iter()
            .map(|speaker| speaker.participant)
            .collect();
        assert_eq!(current, ["PA_b".into(), "PA_a".into()]);
    }

    #[test]
    fn a_speaker_who_leaves_is_told_as_silent() {
        let mut room = Room::new();
        room.interval([&[-20], &[]]);
        room.people.clear();
        assert_eq!(room.interval([&[], &[]]), [("PA_a".to_owned(), 0.0, false)]);
    }

    #[test]
    fn updates_come_no_more_often_than_their_interval() {
        let mut room = Room::new();
        let due = room.speakers.poll_timeout().unwrap();
        assert_eq!(due, room.now + UPDATE_INTERVAL);
        room.people[0].1.observe(room.now, -3);
        let observers = room
            .people
            .iter_mut()
            .map(|(sid, observer)| (&*sid, observer));
        assert_eq!(room.speakers.update(due - USUAL_PACKET, observers), []);
    }
}
