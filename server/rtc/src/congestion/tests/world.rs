//! A sender with a video encoder and sound, the controller under test, a link and a receiver, moved in steps of 1 ms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::link::{Link, Loss, Packet, Path, Random, STEP};
use super::peer::Peer;
use crate::congestion::Congestion;

const FRAME: u64 = 33_333;
const SOUND: u64 = 20_000;
const SOUND_BYTES: usize = 120;
const FULL_PACKET: usize = 1_200;
const OVERHEAD: usize = 28;
/// A sender whose packets wait longer leaves out frames.
const MAX_WAITING: usize = 60;

/// A moment, every 100 ms; bits per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: f64,
    pub(super) estimate: u64,
    pub(super) delivered: u64,
    pub(super) media: u64,
}

pub(super) struct World {
    pub(super) congestion: Congestion,
    pub(super) link: Link,
    peer: Peer,
    random: Random,
    begin: Instant,
    pub(super) now: u64,
    pub(super) demand: u64,
    /// Share of the estimate the encoder uses, up to the demand; `None` = the demand whatever the estimate.
    pub(super) follows: Option<f64>,
    pub(super) flow: u8,
    /// Microseconds that the receiver's clock is ahead.
    pub(super) clock_ahead: u64,
    /// Every so many microseconds a frame is a key frame, six times as large as others.
    pub(super) key_frames: Option<u64>,
    /// What comes back is lost.
    pub(super) deaf: bool,
    waiting: VecDeque<usize>,
    frame_at: u64,
    sound_at: u64,
    feedback: VecDeque<(u64, Vec<u8>)>,
    delivered: usize,
    media: usize,
    pub(super) padding_sent: usize,
    pub(super) samples: Vec<Sample>,
}

impl World {
    pub(super) fn new(path: Path, initial: u64, demand: u64, seed: u64) -> Self {
        let begin = super::start();
        let mut congestion = Congestion::new(begin, initial);
        congestion.set_demand(begin, demand);
        Self {
            congestion,
            link: Link::new(path, seed),
            peer: Peer::default(),
            random: Random(seed ^ 1),
            begin,
            now: 0,
            demand,
            follows: Some(1.0),
            flow: 0,
            clock_ahead: 0,
            key_frames: None,
            deaf: false,
            waiting: VecDeque::new(),
            frame_at: 0,
            sound_at: 0,
            feedback: VecDeque::new(),
            delivered: 0,
            media: 0,
            padding_sent: 0,
            samples: Vec::new(),
        }
    }

    pub(super) fn instant(&self) -> Instant {
        self.begin + Duration::from_micros(self.now)
    }

    pub(super) fn run(&mut self, seconds: u64) -> &mut Self {
        self.run_millis(seconds * 1_000)
    }

    pub(crate) fn run_millis(&mut self, millis: u64) -> &mut Self {
        let end = self.now + millis * 1_000;
        while self.now < end {
            self.step();
        }
        self
    }

    /// Two senders over the link of the first.
    pub(super) fn run_together(worlds: &mut [Self; 2], seconds: u64) {
        let mut link = std::mem::replace(&mut worlds[0].link, Link::new(Path::of(1), 0));
        for _ in 0..seconds * 1_000_000 / STEP {
            let arrived = link.step(worlds[0].now + STEP);
            for world in &mut *worlds {
                world.step_over(&mut link, &arrived);
            }
        }
        worlds[0].link = link;
    }

    fn step(&mut self) {
        let mut link = std::mem::replace(&mut self.link, Link::new(Path::of(1), 0));
        let arrived = link.step(self.now + STEP);
        self.step_over(&mut link, &arrived);
        self.link = link;
    }

    fn step_over(&mut self, link: &mut Link, arrived: &[(u64, Packet)]) {
        self.now += STEP;
        let now = self.instant();
        let own = |(_, packet): &&(u64, Packet)| packet.flow == self.flow;
        for (at, packet) in arrived.iter().filter(own) {
            self.peer.arrived(*at + self.clock_ahead, packet.sequence);
            self.delivered += packet.bytes;
            self.media += if packet.padding { 0 } else { packet.bytes };
        }
        // The way back loses as much as the way there.
        let back = match link.path.loss {
            Loss::Random(share) => share,
            _ => 0.0,
        };
        if let Some(report) = self.peer.report(self.now)
            && !self.deaf
            && self.random.unit() >= back
        {
            self.feedback
                .push_back((self.now + link.path.delay, report));
        }
        while self.feedback.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, report) = self.feedback.pop_front().unwrap();
            self.congestion.handle_feedback(now, &report).unwrap();
        }
        if self.congestion.poll_timeout().is_some_and(|at| at <= now) {
            self.congestion.handle_timeout(now);
        }
        self.encode();
        self.send(link, now);
        if self.now.is_multiple_of(100_000) {
            self.sample();
        }
    }

    fn encode(&mut self) {
        if self.now < self.frame_at {
            return;
        }
        self.frame_at += FRAME;
        let bitrate = match self.follows {
            Some(share) => self
                .demand
                .min((self.congestion.estimate() as f64 * share) as u64),
            None => self.demand,
        };
        if self.waiting.len() > MAX_WAITING {
            return;
        }
        // Frames vary by a fifth about their mean; sound and headers count.
        let vary = 0.8 + 0.4 * self.random.unit();
        let video = bitrate.saturating_sub(((SOUND_BYTES + OVERHEAD) * 8 * 50) as u64);
        let mut frame = (video as f64 * FRAME as f64 / 8e6 * vary) as usize;
        if self
            .key_frames
            .is_some_and(|every| self.now % every < FRAME)
        {
            frame *= 6;
        }
        while frame > 0 {
            let bytes = frame.min(FULL_PACKET + OVERHEAD);
            self.waiting
                .push_back(bytes.saturating_sub(OVERHEAD).max(60));
            frame -= bytes;
        }
    }

    fn send(&mut self, link: &mut Link, now: Instant) {
        if self.now >= self.sound_at {
            self.sound_at += SOUND;
            self.emit(link, now, SOUND_BYTES, false);
        }
        while !self.waiting.is_empty() && self.congestion.admits(now) {
            let bytes = self.waiting.pop_front().unwrap();
            self.emit(link, now, bytes, false);
        }
        while let Some(bytes) = self.congestion.poll_probe(now) {
            let mut left = bytes;
            while left > 0 {
                let padding = left.min(255);
                self.emit(link, now, padding + 36, true);
                left -= padding;
            }
        }
    }

    fn emit(&mut self, link: &mut Link, now: Instant, bytes: usize, padding: bool) {
        let sequence = self.congestion.packet_sent(now, bytes);
        let bytes = bytes + OVERHEAD;
        self.padding_sent += if padding { bytes } else { 0 };
        link.send(Packet {
            sequence,
            bytes,
            sent: self.now,
            padding,
            flow: self.flow,
        });
    }

    fn sample(&mut self) {
        self.samples.push(Sample {
            at: self.now as f64 / 1e6,
            estimate: self.congestion.estimate(),
            delivered: self.delivered as u64 * 80,
            media: self.media as u64 * 80,
        });
        (self.delivered, self.media) = (0, 0);
    }

    /// Samples from one second to another.
    pub(super) fn between(&self, from: f64, to: f64) -> Vec<Sample> {
        let within = |sample: &&Sample| sample.at > from && sample.at <= to;
        self.samples.iter().filter(within).copied().collect()
    }

    /// Seconds from `from` until the mean bitrate delivered over half a second first reaches `bitrate`; infinite if never.
    pub(super) fn time_to_deliver(&self, from: f64, bitrate: f64) -> f64 {
        let samples = self.between(from, f64::INFINITY);
        let reached = samples.windows(5).find(|window| {
            let sum: u64 = window.iter().map(|sample| sample.delivered).sum();
            sum as f64 / 5.0 >= bitrate
        });
        reached.map_or(f64::INFINITY, |window| window[4].at - from)
    }

    /// 95th percentile of the time in the queue, in milliseconds, of what left it between two seconds.
    pub(super) fn queueing_p95(&self, from: f64, to: f64) -> f64 {
        let mut waits: Vec<u64> = self
            .link
            .waits
            .iter()
            .filter(|(at, _)| (from..to).contains(&(*at as f64 / 1e6)))
            .map(|(_, wait)| *wait)
            .collect();
        waits.sort_unstable();
        let at = waits.len() * 95 / 100;
        waits.get(at).map_or(0.0, |wait| *wait as f64 / 1e3)
    }
}

pub(super) fn mean(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> f64 {
    samples.iter().map(|sample| of(sample) as f64).sum::<f64>() / samples.len().max(1) as f64
}

/// Standard deviation over mean.
pub(super) fn variation(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> f64 {
    let mean = mean(samples, &of);
    let squares: f64 = samples
        .iter()
        .map(|sample| (of(sample) as f64 - mean).powi(2))
        .sum();
    (squares / samples.len().max(1) as f64).sqrt() / mean
}
