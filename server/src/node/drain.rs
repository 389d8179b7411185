//! Emptying the node: no new sessions, and those that run are led elsewhere in waves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tradewind_rtc::Command;

use super::{Node, NodeError};
use crate::clock::unix_ms;
use crate::shard::{Input, ShardHandle};

/// Between two waves: the node that takes them over answers a join in less.
const WAVE_EVERY: Duration = Duration::from_millis(250);
/// Participants of the smallest wave: a call of two moves at once.
const SMALLEST_WAVE: u64 = 2;
/// Waves in which everybody has been asked, if the deadline allows: 5 s in all.
const WAVES: u64 = 20;

/// How far the emptying is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DrainStatus {
    /// The node takes no new sessions.
    pub(crate) draining: bool,
    /// Unix time the emptying began, milliseconds; 0 if it did not.
    pub(crate) since_unix_ms: u64,
    /// Participants still here.
    pub(crate) participants: u64,
}

/// When the emptying began, as Unix time in milliseconds; 0 = it did not.
#[derive(Debug, Default)]
pub(super) struct DrainState(AtomicU64);

impl DrainState {
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

impl Node {
    /// How far the emptying is.
    pub(crate) fn drain_status(&self) -> DrainStatus {
        DrainStatus {
            draining: self.0.drain.is_on(),
            since_unix_ms: self.0.drain.0.load(Ordering::Acquire),
            participants: self.participants(),
        }
    }

    /// Takes no new sessions from now on, and begins to ask those that run to join anew, in waves until nobody is left or
    /// `deadline` has passed. A second call only tells how far it is. Needs a tokio runtime.
    pub(crate) fn drain(&self, deadline: Duration) -> DrainStatus {
        let (began, exchange) = (&self.0.drain.0, Ordering::AcqRel);
        if began
            .compare_exchange(0, unix_ms(), exchange, Ordering::Acquire)
            .is_ok()
        {
            let node = self.clone();
            tokio::spawn(async move { node.send_waves(deadline).await });
        }
        self.drain_status()
    }

    async fn send_waves(&self, deadline: Duration) {
        let ends = Instant::now() + deadline;
        let everybody = self.participants();
        tracing::info!(
            participants = everybody,
            "draining: sessions are being led elsewhere"
        );
        let mut pause = tokio::time::interval(WAVE_EVERY);
        while Instant::now() < ends {
            pause.tick().await;
            // A shard that takes no command is asked again with the next wave.
            let _ = self.send_wave(wave(everybody, deadline)).await;
            if self.participants() == 0 {
                tracing::info!("drained");
                return;
            }
        }
        tracing::warn!(
            participants = self.participants(),
            "the deadline of the drain has passed"
        );
    }

    fn participants(&self) -> u64 {
        self.0.shards.iter().map(occupancy).sum()
    }

    async fn send_wave(&self, size: u64) -> Result<(), NodeError> {
        let mut left = size;
        for shard in self.0.shards.iter() {
            let here = occupancy(shard).min(left);
            if here == 0 {
                continue;
            }
            left -= here;
            let participants = u32::try_from(here).unwrap_or(u32::MAX);
            shard
                .send(Input::Command(Command::Drain { participants }))
                .await?;
        }
        Ok(())
    }
}

/// Participants of a shard. Their number is known twice a second, that of connections after each turn: who has just
/// joined must not be overlooked.
fn occupancy(shard: &ShardHandle) -> u64 {
    shard.participants().max(shard.connections())
}

/// Participants to ask at once so that all have been asked within half the deadline, and never all at once if there
/// is time: the nodes that take them over have calls of their own.
fn wave(everybody: u64, deadline: Duration) -> u64 {
    let in_half = deadline.as_millis() / 2 / WAVE_EVERY.as_millis();
    let waves = u64::try_from(in_half).unwrap_or(WAVES).clamp(1, WAVES);
    everybody.div_ceil(waves).max(SMALLEST_WAVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_moves_at_once_and_a_crowd_in_waves() {
        let minute = Duration::from_secs(60);
        assert_eq!(wave(2, minute), 2);
        assert_eq!(wave(1_000, minute), 50);
    }

    #[test]
    fn a_short_deadline_makes_waves_larger() {
        assert_eq!(wave(1_000, Duration::from_secs(1)), 500);
        assert_eq!(wave(1_000, Duration::ZERO), 1_000);
    }
}
