//! The way to a media thread, for tokio's threads.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::mpsc;
use tracing::warn;
use tradewind_rtc::Shard;

use super::input::{Input, Notice, TcpInput};
use super::thread::ShardThread;
use crate::cluster::Links;
use crate::node::NodeError;
use crate::socket::UdpPort;

/// Commands that may wait for a turn. A shard takes a few hundred in a turn of at most some milliseconds.
const INPUT_QUEUE: usize = 4_096;
/// ICE/TCP frames that may wait for a turn; beyond that, connections are read more slowly.
const FRAME_QUEUE: usize = 2_048;
/// How long a caller waits for room in the queue before it is told that the node is overloaded.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);
/// A shard that has not turned for this long is stuck. It turns at least twice a second.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// A handle to a media thread; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ShardHandle {
    pub(crate) index: usize,
    inputs: mpsc::Sender<Input>,
    frames: mpsc::Sender<TcpInput>,
    status: Arc<ShardStatus>,
}

/// What a media thread shares with the others: atomics, so that neither side ever waits.
#[derive(Debug)]
pub(crate) struct ShardStatus {
    waker: mio::Waker,
    /// Set while a wake-up is under way, so that a busy queue costs one system call per turn and not one per message.
    wake_pending: AtomicBool,
    stop: AtomicBool,
    failed: AtomicBool,
    started: Instant,
    /// Milliseconds since `started`.
    last_turn_ms: AtomicU64,
    pub(super) participants: AtomicU64,
    pub(super) connections: AtomicU64,
}

/// Starts the thread of shard `index`, ahead of all other work on the machine if `realtime`.
///
/// # Errors
/// The operating system gives no thread or no poll.
pub(crate) fn start(
    index: usize,
    shard: Shard,
    port: UdpPort,
    notices: mpsc::UnboundedSender<Notice>,
    links: Arc<OnceLock<Arc<Links>>>,
    realtime: bool,
) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let poll = mio::Poll::new()?;
    let status = Arc::new(ShardStatus {
        waker: mio::Waker::new(poll.registry(), super::thread::WAKER)?,
        wake_pending: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        started: Instant::now(),
        last_turn_ms: AtomicU64::new(0),
        participants: AtomicU64::new(0),
        connections: AtomicU64::new(0),
    });
    let (inputs, input_queue) = mpsc::channel(INPUT_QUEUE);
    let (frames, frame_queue) = mpsc::channel(FRAME_QUEUE);
    let thread = ShardThread::new(
        index,
        shard,
        port,
        poll,
        status.clone(),
        input_queue,
        frame_queue,
        notices,
        links,
    )?;
    let join = std::thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            if realtime {
                run_ahead();
            }
            thread.run();
        })?;
    Ok((
        ShardHandle {
            index,
            inputs,
            frames,
            status,
        },
        join,
    ))
}

/// Puts this thread into the round-robin real-time class, at its lowest priority.
fn run_ahead() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
    {
        warn!(
            ?error,
            "rtc.realtime: a media thread shares its core as any other; grant CAP_SYS_NICE or the limit rtprio"
        );
    }
}

impl ShardHandle {
    /// Puts a message into the shard's queue.
    ///
    /// # Errors
    /// [`NodeError::Overloaded`] if the queue stays full, [`NodeError::ShuttingDown`] if the thread has ended.
    pub(crate) async fn send(&self, input: Input) -> Result<(), NodeError> {
        self.inputs
            .send_timeout(input, QUEUE_PATIENCE)
            .await
            .map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => NodeError::Overloaded,
                mpsc::error::SendTimeoutError::Closed(_) => NodeError::ShuttingDown,
            })?;
        self.status.wake();
        Ok(())
    }

    /// As [`Self::send`], for a message that may be lost if the queue is full.
    pub(crate) fn try_send(&self, input: Input) {
        if self.inputs.try_send(input).is_ok() {
            self.status.wake();
        }
    }

    /// Hands over what an ICE/TCP connection received; waits while the queue is full. False if the thread has ended.
    pub(crate) async fn send_frame(&self, input: TcpInput) -> bool {
        let sent = self.frames.send(input).await.is_ok();
        self.status.wake();
        sent
    }

    /// Ends the thread after its current turn.
    pub(crate) fn stop(&self) {
        self.status.stop.store(true, Ordering::Release);
        self.status.wake();
    }

    /// Participants at the last heartbeat.
    pub(crate) fn participants(&self) -> u64 {
        self.status.participants.load(Ordering::Relaxed)
    }

    /// Signalling connections at the last turn.
    pub(crate) fn connections(&self) -> u64 {
        self.status.connections.load(Ordering::Relaxed)
    }

    /// Whether the shard turns.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let index = self.index;
        if self.status.failed.load(Ordering::Acquire) || self.inputs.is_closed() {
            return Err(format!("media thread {index} has failed: restart the node"));
        }
        let age = self.status.last_turn_age();
        if age > STUCK_AFTER {
            return Err(format!(
                "media thread {index} has been stuck for {} ms",
                age.as_millis()
            ));
        }
        Ok(())
    }
}

impl ShardStatus {
    fn wake(&self) {
        if !self.wake_pending.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a media thread");
        }
    }

    /// To be called before the queues are read: what is queued later wakes the thread again.
    pub(super) fn woken(&self) {
        self.wake_pending.swap(false, Ordering::AcqRel);
    }

    pub(super) fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn turned(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.started).as_millis();
        self.last_turn_ms
            .store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn last_turn_age(&self) -> Duration {
        let last = Duration::from_millis(self.last_turn_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }
}
