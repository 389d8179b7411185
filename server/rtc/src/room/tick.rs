//! What happens by time: speakers, quality, throttled key-frame requests, lowered demand, and the end of what is idle.

use std::time::{Duration, Instant};

use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats};

use super::{ParticipantKey, Room, TransportRef};
use crate::context::Context;
use crate::event::{Event, LeaveAction, QualityReport, Speaker};
use crate::info::{DisconnectReason, TrackKind};
use crate::timers::TimerKey;

/// SDKs expect speaker changes about this often.
const SPEAKERS_EVERY: Duration = Duration::from_millis(400);
/// SDKs expect quality changes about this often.
const QUALITY_EVERY: Duration = Duration::from_secs(5);
/// How often sessions are checked while one of them is in doubt.
const SESSIONS_EVERY: Duration = Duration::from_secs(1);
/// Without signalling and without a datagram for this long, the client is gone.
const SILENCE: Duration = Duration::from_secs(5);

/// When which duty of the room is due; `None` = not at all.
#[derive(Default)]
pub(super) struct RoomTimers {
    speakers: Option<Instant>,
    quality: Option<Instant>,
    sessions: Option<Instant>,
    key_frames: Option<Instant>,
    demand: Option<Instant>,
    allocation: Option<Instant>,
    expiry: Option<Instant>,
    replica: Option<Instant>,
    queued: Option<Instant>,
}

impl RoomTimers {
    fn next(&self) -> Option<Instant> {
        let all = [
            self.speakers,
            self.quality,
            self.sessions,
            self.key_frames,
            self.demand,
            self.allocation,
            self.expiry,
            self.replica,
        ];
        all.into_iter().flatten().min()
    }
}

fn take_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

fn sooner(timer: &mut Option<Instant>, at: Instant) {
    *timer = Some(timer.map_or(at, |known| known.min(at)));
}

impl Room {
    pub(super) fn arm_speakers(&mut self, cx: &mut Context, now: Instant) {
        sooner(&mut self.timers.speakers, now + SPEAKERS_EVERY);
        self.schedule(cx);
    }

    pub(super) fn arm_session_check(&mut self, cx: &mut Context, now: Instant) {
        sooner(&mut self.timers.sessions, now + SESSIONS_EVERY);
        self.schedule(cx);
    }

    pub(super) fn arm_key_frames(&mut self, cx: &mut Context, at: Instant) {
        sooner(&mut self.timers.key_frames, at);
        self.schedule(cx);
    }

    pub(super) fn arm_demand(&mut self, cx: &mut Context, at: Instant) {
        self.timers.demand = Some(at);
        self.schedule(cx);
    }

    pub(super) fn arm_allocation(&mut self, cx: &mut Context, at: Instant) {
        sooner(&mut self.timers.allocation, at);
        self.schedule(cx);
    }

    pub(super) fn arm_replica(&mut self, cx: &mut Context, at: Instant) {
        sooner(&mut self.timers.replica, at);
        self.schedule(cx);
    }

    /// Starts or stops the clock of an empty room, and what runs only while somebody is there.
    pub(super) fn arm_expiry(&mut self, cx: &mut Context, now: Instant, never_joined: bool) {
        let seconds = if never_joined {
            self.config.empty_timeout_s
        } else {
            self.config.departure_timeout_s
        };
        if self.participants.is_empty() {
            self.timers = RoomTimers {
                queued: self.timers.queued,
                replica: self.timers.replica,
                ..RoomTimers::default()
            };
            self.timers.expiry = Some(now + Duration::from_secs(u64::from(seconds)));
        } else {
            self.timers.expiry = None;
            self.timers.quality.get_or_insert(now + QUALITY_EVERY);
            sooner(&mut self.timers.sessions, now + SESSIONS_EVERY);
        }
        self.schedule(cx);
    }

    fn schedule(&mut self, cx: &mut Context) {
        if let Some(at) = self.timers.next() {
            cx.timers
                .schedule(TimerKey::Room(self.key), at, &mut self.timers.queued);
        }
    }

    /// Does what is due. `fired` is the wake-up that came.
    pub(crate) fn wake(&mut self, cx: &mut Context, now: Instant, fired: Instant) {
        if self.timers.queued == Some(fired) {
            self.timers.queued = None;
        }
        if take_due(&mut self.timers.speakers, now) {
            self.update_speakers(cx, now);
        }
        if take_due(&mut self.timers.key_frames, now) {
            self.retry_key_frames(cx, now);
        }
        if take_due(&mut self.timers.demand, now) {
            self.lower_demands(cx);
        }
        if take_due(&mut self.timers.allocation, now) {
            let keys: Vec<ParticipantKey> = self.participants.keys().collect();
            for key in keys {
                self.allocate(cx, now, key);
            }
        }
        if take_due(&mut self.timers.quality, now) {
            self.update_quality(cx, now);
        }
        if take_due(&mut self.timers.sessions, now) {
            self.check_sessions(cx, now);
        }
        if take_due(&mut self.timers.replica, now) {
            self.wake_replicas(cx);
        }
        if take_due(&mut self.timers.expiry, now) && self.participants.is_empty() {
            self.finish(cx);
            return;
        }
        self.schedule(cx);
    }

    fn update_speakers(&mut self, cx: &mut Context, now: Instant) {
        let mut any_audio = false;
        for track in self
            .tracks
            .values_mut()
            .filter(|track| track.info.kind == TrackKind::Audio)
        {
            let publisher = track.publisher.local();
            let Some(publisher) = publisher.and_then(|key| self.participants.get(key)) else {
                continue;
            };
            any_audio = true;
            let level = if track.info.muted {
                None
            } else {
                track.observer.level(now)
            };
            self.speakers.note(publisher.sid(), level);
        }
        any_audio |= self.note_remote_levels();
        let changes: Vec<Speaker> = self.speakers.update();
        if !changes.is_empty() {
            for participant in self.participants.values() {
                cx.send(participant.connection, Event::Speakers(changes.clone()));
            }
        }
        if !changes.is_empty() {
            self.tell_speakers(cx, &changes);
        }
        if any_audio || self.speakers.is_anybody_active() {
            self.timers.speakers = Some(now + SPEAKERS_EVERY);
        }
    }

    fn retry_key_frames(&mut self, cx: &mut Context, now: Instant) {
        let mut due = Vec::new();
        for (key, track) in &mut self.tracks {
            for (index, source) in track.sources.iter_mut().enumerate() {
                while let Some(encoding) = source.throttle.poll_due(now) {
                    due.push((key, index, usize::from(encoding)));
                }
                if let Some(at) = source.throttle.poll_timeout() {
                    sooner(&mut self.timers.key_frames, at);
                }
            }
        }
        for (track, source, encoding) in due {
            self.send_key_frame_request(cx, track, source, encoding);
        }
    }

    /// Tells how many are in the room, if that changed; a crowd that comes at once is told once.
    fn update_counts(&mut self, cx: &mut Context) {
        let info = self.info();
        let counts = (info.num_participants, info.num_publishers);
        if std::mem::replace(&mut self.counts_told, counts) != counts {
            for participant in self.participants.values() {
                cx.send(participant.connection, Event::Room(Box::new(info.clone())));
            }
        }
    }

    fn update_quality(&mut self, cx: &mut Context, now: Instant) {
        self.timers.quality = Some(now + QUALITY_EVERY);
        self.update_counts(cx);
        let mut reports = Vec::new();
        for participant in self.participants.values_mut() {
            if let Some((quality, score)) = participant.scorer.update() {
                reports.push(QualityReport {
                    participant: participant.info.sid.clone(),
                    quality,
                    score,
                });
            }
        }
        if !reports.is_empty() {
            for participant in self.participants.values() {
                cx.send(participant.connection, Event::Quality(reports.clone()));
            }
            self.tell_qualities(cx, &reports);
        }
    }

    fn check_sessions(&mut self, cx: &mut Context, now: Instant) {
        let mut gone = Vec::new();
        for (key, participant) in &self.participants {
            let deadlines = &participant.deadlines;
            let silent = deadlines
                .last_heard
                .is_none_or(|at| now.saturating_duration_since(at) >= SILENCE);
            if deadlines.connect.is_some_and(|at| at <= now) {
                gone.push((key, DisconnectReason::JoinFailure));
            } else if let Some(lost) = deadlines.signal_lost {
                let away = now.saturating_duration_since(lost);
                if away >= cx.config.resume_timeout || (silent && away >= SILENCE) {
                    gone.push((key, DisconnectReason::ConnectionTimeout));
                }
            }
        }
        for (key, reason) in gone {
            self.remove(cx, now, key, reason, Some(LeaveAction::Disconnect));
        }
        if !self.participants.is_empty() {
            self.timers.sessions = Some(now + SESSIONS_EVERY);
        }
    }

    /// The client told its round trip to the signalling server.
    pub(super) fn round_trip(&mut self, key: ParticipantKey, ms: u32) {
        if let Some(participant) = self.participants.get_mut(key) {
            participant
                .scorer
                .signalling_round_trip(Duration::from_millis(u64::from(ms)));
        }
    }

    pub(super) fn peer_stats(&mut self, at: TransportRef, stats: &PeerStats) {
        if let Some(participant) = self.participants.get_mut(at.participant) {
            participant.scorer.peer(stats);
        }
    }

    pub(super) fn ingress_stats(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        stats: &MediaIngressStats,
    ) {
        if let Some(participant) = self.participants.get_mut(key) {
            let known = participant
                .nacks
                .entry((stats.mid, stats.rid, true))
                .or_default();
            cx.counters.nacks_out += stats
                .nacks
                .saturating_sub(std::mem::replace(known, stats.nacks));
            participant.scorer.ingress(stats);
        }
    }

    pub(super) fn egress_stats(
        &mut self,
        cx: &mut Context,
        key: ParticipantKey,
        stats: &MediaEgressStats,
    ) {
        if let Some(participant) = self.participants.get_mut(key) {
            let known = participant
                .nacks
                .entry((stats.mid, stats.rid, false))
                .or_default();
            cx.counters.nacks_in += stats
                .nacks
                .saturating_sub(std::mem::replace(known, stats.nacks));
            participant.scorer.egress(stats);
        }
    }
}
