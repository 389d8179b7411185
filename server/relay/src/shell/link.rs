//! One link: a task that moves packets between the core and a QUIC connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, SendDatagramError};
use tokio::sync::mpsc;

use super::controller::Target;
use super::handle::LinkCommand;
use super::inbox::{Delivery, Event};
use super::session::{CLOSED, PROTOCOL, Session};
use super::streams::{Readers, Writers, offer};
use super::transport::DATAGRAM_BUFFER;
use crate::frame::Frame;
use crate::hop::{Hop, Incoming};
use crate::id::{BitsPerSecond, NodeId};

const QUALITY_EVERY: Duration = Duration::from_secs(1);
/// How long a full QUIC queue is given to drain.
const QUIC_FULL_WAIT: Duration = Duration::from_millis(1);
/// Bytes that may wait inside QUIC: this time at the present rate, within bounds.
const QUIC_QUEUE_TIME: Duration = Duration::from_millis(2);
const QUIC_QUEUE_MIN: usize = 12 << 10;
/// Commands taken before packets leave.
const COMMANDS_AT_ONCE: usize = 64;

/// Runs the link until it ends; gives the reason.
pub(crate) async fn run(
    session: Session,
    delivery: Arc<dyn Delivery>,
    commands: mpsc::Receiver<LinkCommand>,
) -> String {
    let Session {
        connection,
        peer,
        control_out,
        control_in,
        ..
    } = session;
    let Some(target) = Target::of(&connection) else {
        return "the connection runs without the relay's congestion control".into();
    };
    let round_trip = connection.rtt();
    offer(
        &*delivery,
        Event::Up {
            peer: peer.clone(),
            round_trip,
        },
    )
    .await;
    let now = Instant::now();
    let link = Link {
        hop: Hop::new(now, round_trip, target.get()),
        writers: Writers::new(connection.clone(), control_out),
        quality_at: now + QUALITY_EVERY,
        target,
        peer: peer.clone(),
        delivery: delivery.clone(),
        connection: connection.clone(),
    };
    let readers = Readers::new(
        connection.clone(),
        peer.clone(),
        delivery.clone(),
        control_in,
    );
    link.serve(commands, readers).await;
    connection.close(CLOSED, b"");
    let reason = connection.closed().await.to_string();
    offer(
        &*delivery,
        Event::Down {
            peer,
            reason: reason.clone(),
        },
    )
    .await;
    reason
}

struct Link {
    connection: Connection,
    peer: NodeId,
    delivery: Arc<dyn Delivery>,
    target: Target,
    hop: Hop,
    writers: Writers,
    quality_at: Instant,
}

impl Link {
    async fn serve(mut self, mut commands: mpsc::Receiver<LinkCommand>, mut readers: Readers) {
        let mut batch = Vec::with_capacity(COMMANDS_AT_ONCE);
        loop {
            let wakeup = self.send_due().await;
            tokio::select! {
                taken = commands.recv_many(&mut batch, COMMANDS_AT_ONCE) => {
                    if taken == 0 {
                        return;
                    }
                    for command in batch.drain(..) {
                        self.obey(command);
                    }
                }
                datagram = self.connection.read_datagram() => match datagram {
                    Ok(datagram) => self.take(datagram).await,
                    Err(_) => return,
                },
                frame = readers.frames.recv() => match frame {
                    Some(frame) => self.on_frame(frame).await,
                    None => return,
                },
                () = tokio::time::sleep_until(wakeup.into()) => {}
            }
        }
    }

    /// Hands QUIC what may leave now; gives the time of the next call.
    async fn send_due(&mut self) -> Instant {
        let now = Instant::now();
        self.hop.set_rate(now, self.target.get());
        if now >= self.quality_at {
            self.quality_at = now + QUALITY_EVERY;
            self.report_quality();
        }
        let mut wakeup = self.quality_at;
        loop {
            if !self.quic_has_room() {
                // QUIC runs on this very thread: let it send.
                tokio::task::yield_now().await;
                if !self.quic_has_room() {
                    wakeup = wakeup.min(now + QUIC_FULL_WAIT);
                    break;
                }
            }
            let Some(datagram) = self.hop.poll_datagram(now) else {
                wakeup = wakeup.min(self.hop.next_wakeup(now));
                break;
            };
            match self.connection.send_datagram(datagram) {
                Ok(()) => {}
                // The path shrank below what RTP needs; the loss is reported like any other.
                Err(SendDatagramError::TooLarge) => {
                    tracing::debug!(peer = %self.peer, "packet larger than the path")
                }
                // The connection has ended, which reading tells too.
                Err(_) => break,
            }
        }
        wakeup
    }

    fn quic_has_room(&self) -> bool {
        let BitsPerSecond(rate) = self.target.get();
        let by_rate = (rate as f64 / 8.0 * QUIC_QUEUE_TIME.as_secs_f64()) as usize;
        let allowed = by_rate.clamp(QUIC_QUEUE_MIN, DATAGRAM_BUFFER / 2);
        DATAGRAM_BUFFER - self.connection.datagram_send_buffer_space() <= allowed
    }

    fn report_quality(&mut self) {
        let round_trip = self.connection.rtt();
        self.hop.set_round_trip(round_trip);
        let quality = Event::Quality {
            peer: self.peer.clone(),
            round_trip,
            loss: self.hop.loss(),
            rate: self.target.get(),
            stats: self.hop.stats(),
        };
        // The next report replaces one that finds no room.
        drop(self.delivery.event(quality));
    }

    fn say(&mut self, frame: &Frame) {
        let bytes = self.writers.control(frame);
        self.hop.charge(Instant::now(), bytes);
    }

    fn obey(&mut self, command: LinkCommand) {
        let now = Instant::now();
        match command {
            LinkCommand::Media {
                class,
                flow,
                epoch,
                rtp,
            } => self.hop.send(now, class, flow, epoch, rtp),
            LinkCommand::Room { room, payload } => {
                let bytes = self.writers.room(room, payload);
                self.hop.charge(now, bytes);
            }
            LinkCommand::Drain => self.say(&Frame::Drain),
            LinkCommand::Close(reason) => self.connection.close(CLOSED, reason.as_bytes()),
        }
    }

    async fn take(&mut self, datagram: Bytes) {
        match self.hop.on_datagram(Instant::now(), datagram) {
            Ok(Incoming::Media(packet)) => self.delivery.media(&self.peer, packet),
            Ok(Incoming::Message(frame)) => self.on_frame(frame).await,
            Ok(Incoming::Nothing) => {}
            Err(error) => self
                .connection
                .close(PROTOCOL, error.to_string().as_bytes()),
        }
    }

    async fn on_frame(&mut self, frame: Frame) {
        // Room messages go past the link; anything but a drain has no business here.
        if frame == Frame::Drain {
            let peer = self.peer.clone();
            offer(&*self.delivery, Event::Draining { peer }).await;
        }
    }
}
