//! What all threads of the emulator share: the links, and the datagrams that are on their way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::path::{Fate, Path, PathStats, Shape};
use crate::random::Random;
use crate::topology::Topology;

/// A direction between two nodes, by their places in [`Topology::nodes`].
pub(crate) type Direction = (usize, usize);

/// Shared by the receiving thread, the sending thread, TCP and control.
pub(crate) struct Net {
    pub(crate) topology: Topology,
    started: Instant,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    paths: BTreeMap<Direction, Path>,
    under_way: BinaryHeap<Departure>,
    number: u64,
    stopped: bool,
}

/// A datagram that leaves the emulator at `at`.
pub(crate) struct Departure {
    at: Duration,
    number: u64,
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) to: SocketAddr,
    pub(crate) payload: Box<[u8]>,
}

impl Net {
    pub(crate) fn new(topology: Topology) -> Result<Self> {
        let paths = topology
            .shapes()?
            .into_iter()
            .map(|(direction, shape)| {
                (
                    direction,
                    Path::new(seed_of(topology.seed, direction), shape),
                )
            })
            .collect();
        Ok(Self {
            topology,
            started: Instant::now(),
            state: Mutex::new(State {
                paths,
                under_way: BinaryHeap::new(),
                number: 0,
                stopped: false,
            }),
            wake: Condvar::new(),
        })
    }

    /// Puts a datagram on its way, or loses it. Without a link between the two (unknown sender) it passes at once.
    pub(crate) fn datagram(
        &self,
        direction: Option<Direction>,
        socket: &Arc<UdpSocket>,
        to: SocketAddr,
        payload: &[u8],
    ) {
        let now = self.started.elapsed();
        let mut state = self.lock();
        let fate = match direction.and_then(|direction| state.paths.get_mut(&direction)) {
            Some(path) => path.datagram(now, payload.len()),
            None => Fate::Arrives(now),
        };
        let Fate::Arrives(at) = fate else { return };
        let first = state.under_way.peek().is_none_or(|next| at < next.at);
        state.number += 1;
        let number = state.number;
        state.under_way.push(Departure {
            at,
            number,
            socket: socket.clone(),
            to,
            payload: payload.into(),
        });
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    /// Waits for datagrams that are due and moves them into `due`; `false` when the emulator stops.
    pub(crate) fn wait_due(&self, due: &mut Vec<Departure>) -> bool {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return false;
            }
            let now = self.started.elapsed();
            while state.under_way.peek().is_some_and(|next| next.at <= now) {
                due.extend(state.under_way.pop());
            }
            if !due.is_empty() {
                return true;
            }
            state = match state.under_way.peek().map(|next| next.at - now) {
                Some(wait) => self
                    .wake
                    .wait_timeout(state, wait)
                    .map_or_else(|e| e.into_inner().0, |(state, _)| state),
                None => self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// When `bytes` of a stream that were just read arrive; `None` while the link is cut.
    pub(crate) fn stream(&self, direction: Direction, bytes: usize) -> Option<Instant> {
        let now = self.started.elapsed();
        let at = match self.lock().paths.get_mut(&direction) {
            Some(path) => path.stream(now, bytes)?,
            None => now,
        };
        Some(self.started + at)
    }

    /// How long a stream's sender has to wait for room in the queue of the bottleneck.
    pub(crate) fn stream_wait(&self, direction: Direction) -> Duration {
        let now = self.started.elapsed();
        self.lock()
            .paths
            .get(&direction)
            .map_or(Duration::ZERO, |path| {
                path.backlog(now).saturating_sub(path.queue_room())
            })
    }

    pub(crate) fn set_shape(&self, from: &str, to: &str, shape: Shape) -> Result<()> {
        self.with_path(from, to, |path| path.set_shape(shape))
    }

    pub(crate) fn set_cut(&self, from: &str, to: &str, cut: bool) -> Result<()> {
        self.with_path(from, to, |path| path.set_cut(cut))
    }

    pub(crate) fn stats(&self, from: &str, to: &str) -> Result<(Shape, PathStats)> {
        self.with_path(from, to, |path| (*path.shape(), path.stats()))
    }

    /// One-way delay of a direction, for the handshake of a TCP connection.
    pub(crate) fn delay(&self, direction: Direction) -> Duration {
        self.lock()
            .paths
            .get(&direction)
            .map_or(Duration::ZERO, |path| {
                Duration::from_secs_f64(path.shape().delay_ms / 1e3)
            })
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    fn with_path<T>(&self, from: &str, to: &str, act: impl FnOnce(&mut Path) -> T) -> Result<T> {
        let direction = (self.topology.index(from)?, self.topology.index(to)?);
        let mut state = self.lock();
        let path = state
            .paths
            .get_mut(&direction)
            .with_context(|| format!("no link from {from} to {to}"))?;
        Ok(act(path))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each direction has losses of its own, which do not change when nodes are added behind it in the file. Mixed twice: seeds
/// that merely lie apart would draw the same numbers at different places.
fn seed_of(seed: u64, (from, to): Direction) -> u64 {
    let mixed = Random::new(seed).next_u64();
    Random::new(mixed ^ ((from as u64) << 32 | to as u64)).next_u64()
}

impl PartialEq for Departure {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Departure {}

impl PartialOrd for Departure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Departure {
    /// The earliest is the greatest, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_seeds_and_directions_do_not_draw_the_same_numbers_at_other_places() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..1_000)
                .map(move |_| random.next_u64())
                .collect::<Vec<_>>()
        };
        let first = draws(seed_of(1, (0, 1)));
        for other in [seed_of(2, (0, 1)), seed_of(1, (1, 0)), seed_of(1, (0, 2))] {
            assert!(draws(other).iter().all(|number| !first.contains(number)));
        }
    }
}
