//! Speech and video at a given rate, and what became of every packet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tradewind_relay::{Epoch, MediaClass, NodeId};
use tradewind_wan::PathStats;

use crate::common::{Running, flow};

const FRAME: Duration = Duration::from_micros(33_333);
const SPEECH: Duration = Duration::from_millis(20);
const SPEECH_BYTES: usize = 110;
const SPEAKERS: usize = 8;
const TRACKS: usize = 8;
const VIDEO_BYTES: usize = 1_100;
/// Time for the last packets and their repairs to arrive.
const SETTLE: Duration = Duration::from_secs(2);

/// How long to run before and while measuring.
#[derive(Clone, Copy)]
pub(crate) struct Spell {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// The streams of one direction, none in step with another.
pub(crate) struct Load {
    streams: Vec<Stream>,
}

struct Stream {
    class: MediaClass,
    every: Duration,
    next: Duration,
    bytes_each: f64,
    credit: f64,
    packet: usize,
}

impl Load {
    /// Eight speakers and eight video tracks that make `megabits` of RTP together.
    pub(crate) fn new(megabits: f64) -> Self {
        let speech = SPEAKERS as f64 * SPEECH_BYTES as f64 * 8.0 / SPEECH.as_secs_f64();
        let track = (megabits * 1e6 - speech) / 8.0 / TRACKS as f64;
        let mut streams = Vec::new();
        for speaker in 0..SPEAKERS {
            let next = SPEECH.mul_f64(speaker as f64 / SPEAKERS as f64);
            let bytes_each = SPEECH_BYTES as f64;
            streams.push(Stream {
                class: MediaClass::Audio,
                every: SPEECH,
                next,
                bytes_each,
                credit: 0.0,
                packet: SPEECH_BYTES,
            });
        }
        for layer in 0..2 * TRACKS {
            let (class, share) = match layer % 2 {
                0 => (MediaClass::VideoBase, 1.0 / 3.0),
                _ => (MediaClass::VideoEnhancement, 2.0 / 3.0),
            };
            let next = FRAME.mul_f64(layer as f64 / (2 * TRACKS) as f64);
            let bytes_each = track * share * FRAME.as_secs_f64();
            streams.push(Stream {
                class,
                every: FRAME,
                next,
                bytes_each,
                credit: 0.0,
                packet: VIDEO_BYTES,
            });
        }
        Self { streams }
    }
}

/// What was sent and what arrived, of the packets sent while measuring.
pub(crate) struct Outcome {
    sent: Counts,
    arrived: Counts,
    repaired: Counts,
    delay: Histogram<u64>,
    lag: Histogram<u64>,
    /// One-way delay of the network, milliseconds.
    pub(crate) base_ms: f64,
    /// Bytes on the network per media packet above its RTP packet; meaningful on a network that loses nothing.
    pub(crate) overhead_bytes: f64,
    /// Share of packets that the network let through.
    pub(crate) path_passed: f64,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    audio: u64,
    base: u64,
    enhancement: u64,
}

/// Sends `load` from one node to the other.
pub(crate) fn measure(
    from: &Running,
    to: Running,
    load: Load,
    spell: Spell,
    stats: impl Fn() -> PathStats,
) -> Outcome {
    let start = Instant::now();
    let done = AtomicBool::new(false);
    let stop = &done;
    let name = to.name.clone();
    let before = stats();
    thread::scope(|scope| {
        let receiving = scope.spawn(move || receive(to, start, stop));
        let sent = send(from, &name, load, start, spell);
        let after = stats();
        thread::sleep(SETTLE);
        done.store(true, Ordering::Relaxed);
        let got = receiving.join().expect("the receiver ends well");
        let bytes = (after.offered_bytes - before.offered_bytes) as f64;
        let offered = (after.offered - before.offered) as f64;
        Outcome {
            sent: sent.measured,
            arrived: got.measured,
            repaired: got.repaired,
            delay: got.delay,
            lag: sent.lag,
            base_ms: 0.0,
            overhead_bytes: (bytes - got.all_bytes as f64) / got.all_packets as f64,
            path_passed: (after.passed - before.passed) as f64 / offered.max(1.0),
        }
    })
}

struct Sent {
    measured: Counts,
    lag: Histogram<u64>,
}

fn send(from: &Running, to: &NodeId, load: Load, start: Instant, spell: Spell) -> Sent {
    let mut streams = load.streams;
    let mut sent = Sent {
        measured: Counts::default(),
        lag: histogram(),
    };
    let end = spell.warm_up + spell.measured;
    while let Some((number, stream)) = streams
        .iter_mut()
        .enumerate()
        .min_by_key(|(_, stream)| stream.next)
        .filter(|(_, stream)| stream.next <= end)
    {
        thread::sleep(stream.next.saturating_sub(start.elapsed()));
        let lag = start.elapsed().saturating_sub(stream.next);
        let measured = stream.next >= spell.warm_up;
        stream.next += stream.every;
        stream.credit += stream.bytes_each;
        // Carried over, so that the rate is met although packets have one size.
        while stream.credit >= stream.packet as f64 {
            stream.credit -= stream.packet as f64;
            let mut rtp = vec![0; stream.packet];
            rtp[0] = u8::from(measured);
            rtp[1..9].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_be_bytes());
            let taken = from.handle().send_media(
                to,
                stream.class,
                flow(number as u32 + 1),
                Epoch(0),
                Bytes::from(rtp),
            );
            taken.expect("the relay takes every packet");
            if measured {
                sent.measured.count(stream.class);
                record(&mut sent.lag, lag);
            }
        }
    }
    sent
}

struct Got {
    measured: Counts,
    repaired: Counts,
    delay: Histogram<u64>,
    all_bytes: u64,
    all_packets: u64,
}

fn receive(to: Running, start: Instant, done: &AtomicBool) -> Got {
    let mut got = Got {
        measured: Counts::default(),
        repaired: Counts::default(),
        delay: histogram(),
        all_bytes: 0,
        all_packets: 0,
    };
    while !done.load(Ordering::Relaxed) {
        while let Some((_, packet)) = to.reader.next_media() {
            let now = start.elapsed();
            got.all_bytes += packet.rtp.len() as u64;
            got.all_packets += 1;
            let (Some(1), Some(stamp)) = (packet.rtp.first(), packet.rtp.get(1..9)) else {
                continue;
            };
            let stamp = stamp
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            got.measured.count(packet.class);
            if packet.repaired {
                got.repaired.count(packet.class);
            } else {
                record(
                    &mut got.delay,
                    now.saturating_sub(Duration::from_nanos(stamp)),
                );
            }
        }
        while to.reader.next_event().is_some() {}
        to.wait(Duration::from_millis(20));
    }
    got
}

impl Counts {
    fn count(&mut self, class: MediaClass) {
        match class {
            MediaClass::Audio => self.audio += 1,
            MediaClass::VideoBase => self.base += 1,
            _ => self.enhancement += 1,
        }
    }

    fn all(self) -> u64 {
        self.audio + self.base + self.enhancement
    }
}

impl Outcome {
    /// Share of packets whose first copy arrived.
    pub(crate) fn first_try(&self) -> f64 {
        (self.arrived.all() - self.repaired.all()) as f64 / self.sent.all() as f64
    }

    /// Share of sound packets that arrived, repairs included.
    pub(crate) fn audio_delivered(&self) -> f64 {
        self.arrived.audio as f64 / self.sent.audio as f64
    }

    /// Delay of first copies, from the call that sends to the thread that reads, microseconds.
    pub(crate) fn delay_us(&self, quantile: f64) -> u64 {
        self.delay.value_at_quantile(quantile)
    }

    /// The same above the delay of the network, milliseconds.
    pub(crate) fn queue_ms(&self, quantile: f64) -> f64 {
        (self.delay_us(quantile) as f64 / 1e3 - self.base_ms).max(0.0)
    }

    /// Whether packets were sent when they should have been.
    pub(crate) fn on_time(&self) -> bool {
        self.lag.value_at_quantile(0.99) < 5_000
    }

    /// One row of the table.
    pub(crate) fn line(&self, name: &str) -> String {
        let share = |arrived: u64, sent: u64| 100.0 * arrived as f64 / sent as f64;
        format!(
            "{name:38} sent {:6}  first try {:7.3} %  audio {:7.3} %  base {:7.3} %  enhancement {:7.3} %  \
             network {:7.3} %  queue p50 {:6.2} p95 {:6.2} p99 {:6.2} ms  generator p99 {:.2} ms",
            self.sent.all(),
            100.0 * self.first_try(),
            100.0 * self.audio_delivered(),
            share(self.arrived.base, self.sent.base),
            share(self.arrived.enhancement, self.sent.enhancement),
            100.0 * self.path_passed,
            self.queue_ms(0.5),
            self.queue_ms(0.95),
            self.queue_ms(0.99),
            self.lag.value_at_quantile(0.99) as f64 / 1e3,
        )
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record((time.as_micros() as u64).max(1));
}
