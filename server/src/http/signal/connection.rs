//! One signalling connection: frames of a WebSocket on one side, requests to and events of a room on the other.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tracing::{debug, info};
use tradewind_rtc::{Event, LeaveAction};
use tradewind_signalling::session::{Frame, FrameRef, Incoming, Session};
use tradewind_signalling::token::{Claims, Keys, sign};

use crate::clock::{unix_ms, unix_s};
use crate::node::{Connection, NodeError};

/// Keeps routers on the way from forgetting a quiet connection, and finds dead ones.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Twice what clients are told to wait for an answer to their pings before they reconnect.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes no bytes for this long is gone: its session can be resumed on a new connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the client has to answer the closing handshake, so that it reads what was sent before.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Clients need a fresh token for reconnects long after the one they joined with has expired.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Validity of a refreshed token, seconds: two refreshes, so that losing one does no harm.
const REFRESHED_TTL_S: u64 = 10 * 60;
/// Messages of the client per second, over time. A join with many tracks comes as a burst.
const MESSAGES_PER_SECOND: u32 = 200;
const MESSAGES_BURST: u32 = 1_000;
/// Messages that leave with one write, about.
const MESSAGES_PER_WRITE: usize = 64;
/// Bytes of a close reason (RFC 6455 section 5.5: 125 with the code).
const MAX_REASON_BYTES: usize = 123;

/// A signalling connection between its join and its end.
pub(super) struct SignalConnection {
    connection: Connection,
    session: Session,
    claims: Claims,
    keys: Arc<Keys>,
}

/// Why a connection ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed it or vanished.
    Client,
    /// The server closes it.
    Server { code: u16, reason: String },
}

type Flow = Result<(), End>;

impl SignalConnection {
    pub(super) fn new(
        connection: Connection,
        session: Session,
        claims: Claims,
        keys: Arc<Keys>,
    ) -> Self {
        Self {
            connection,
            session,
            claims,
            keys,
        }
    }

    /// Serves the client until either side ends it. `first` is the room's answer to the join.
    pub(super) async fn run(mut self, mut socket: WebSocket, first: Event) {
        info!("connected");
        let end = match self.serve(&mut socket, first).await {
            Ok(()) => End::Client,
            Err(end) => end,
        };
        // The room must know before the closing handshake, which a dead client does not answer.
        drop(self.connection);
        match end {
            End::Client => info!("disconnected"),
            End::Server { code, reason } => {
                info!(code, reason, "closing");
                close(socket, code, reason).await;
            }
        }
    }

    async fn serve(&mut self, socket: &mut WebSocket, first: Event) -> Flow {
        let stays = !matches!(first, Event::Leave { .. });
        let mut messages = self.encode(first);
        if stays {
            messages.extend(self.refreshed_token());
        }
        self.send(socket, messages).await?;
        let mut ping = every(PING_INTERVAL);
        let mut refresh = every(REFRESH_INTERVAL);
        let mut last_heard = Instant::now();
        let mut budget = MessageBudget::new(last_heard);
        loop {
            tokio::select! {
                message = socket.recv() => {
                    let Some(Ok(message)) = message else {
                        return Ok(());
                    };
                    last_heard = Instant::now();
                    if !budget.take(last_heard) {
                        return Err(End::server(close_code::POLICY, "too many messages"));
                    }
                    self.receive(socket, message).await?;
                }
                event = self.connection.event() => match event {
                    Some(event) => {
                        let messages = self.encode(event);
                        self.send(socket, messages).await?;
                    }
                    None => return Err(End::server(close_code::NORMAL, "")),
                },
                now = ping.tick() => {
                    if now.saturating_duration_since(last_heard) > SILENCE_TIMEOUT {
                        return Err(End::server(close_code::AWAY, "nothing heard for too long"));
                    }
                    write(socket, vec![Message::Ping(Vec::new().into())]).await?;
                }
                _ = refresh.tick() => {
                    let messages = self.refreshed_token().into_iter().collect();
                    write(socket, messages).await?;
                }
            }
        }
    }

    async fn receive(&mut self, socket: &mut WebSocket, message: Message) -> Flow {
        let frame = match &message {
            Message::Binary(bytes) => FrameRef::Binary(bytes),
            Message::Text(text) => FrameRef::Text(text),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Client),
        };
        let incoming = self.session.receive(frame, unix_ms()).map_err(|error| {
            debug!(%error, "message refused");
            End::server(close_code::PROTOCOL, &error.to_string())
        })?;
        for incoming in incoming {
            match incoming {
                Incoming::Reply(frame) => write(socket, vec![websocket_message(frame)]).await?,
                Incoming::Request(request) => {
                    self.connection
                        .signal(request)
                        .await
                        .map_err(|error| match error {
                            NodeError::ShuttingDown => End::server(close_code::NORMAL, ""),
                            error => End::server(close_code::AGAIN, &error.to_string()),
                        })?
                }
            }
        }
        Ok(())
    }

    /// Sends messages, and with them what the room has said meanwhile: a join begins with several events at once.
    async fn send(&mut self, socket: &mut WebSocket, mut messages: Vec<Message>) -> Flow {
        while messages.len() < MESSAGES_PER_WRITE
            && let Some(Some(event)) = self.connection.event().now_or_never()
        {
            messages.extend(self.encode(event));
        }
        write(socket, messages).await
    }

    fn encode(&mut self, event: Event) -> Vec<Message> {
        if let Event::Leave { reason, action } = &event {
            debug!(
                ?reason,
                will_return = *action != LeaveAction::Disconnect,
                "told to leave"
            );
        }
        let frames = self.session.send(event).into_iter();
        frames.map(websocket_message).collect()
    }

    fn refreshed_token(&self) -> Option<Message> {
        match sign(&self.keys, &self.claims, unix_s(), REFRESHED_TTL_S) {
            Ok(token) => Some(websocket_message(self.session.refresh_token(token))),
            Err(error) => {
                debug!(%error, "no refreshed token");
                None
            }
        }
    }
}

impl End {
    fn server(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self::Server {
            code,
            reason: reason.get(..end).unwrap_or_default().to_owned(),
        }
    }
}

/// A token bucket for the messages of one client.
#[derive(Debug)]
struct MessageBudget {
    /// When the bucket is full again.
    full_at: Instant,
}

impl MessageBudget {
    fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Whether one more message is within the rate.
    fn take(&mut self, now: Instant) -> bool {
        let per_message = Duration::from_secs(1) / MESSAGES_PER_SECOND;
        self.full_at = self.full_at.max(now) + per_message;
        self.full_at.saturating_duration_since(now) <= per_message * MESSAGES_BURST
    }
}

async fn write(socket: &mut WebSocket, messages: Vec<Message>) -> Flow {
    if messages.is_empty() {
        return Ok(());
    }
    let writing = async {
        for message in messages {
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    match timeout(WRITE_TIMEOUT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Client),
    }
}

/// Says goodbye and reads on until the client does: closing TCP with unread input could lose what was sent before.
async fn close(mut socket: WebSocket, code: u16, reason: String) {
    let handshake = async {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A client that does not answer has had its time.
    let _ = timeout(CLOSE_TIMEOUT, handshake).await;
}

fn websocket_message(frame: Frame) -> Message {
    match frame {
        Frame::Binary(bytes) => Message::Binary(bytes.into()),
        Frame::Text(text) => Message::Text(text.into()),
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut budget = MessageBudget::new(start);
        assert!((0..MESSAGES_BURST).all(|_| budget.take(start)));
        assert!(!budget.take(start));
    }

    #[test]
    fn the_rate_can_be_kept_up_for_ever() {
        let start = Instant::now();
        let mut budget = MessageBudget::new(start);
        let sent = (0..10_000).map(|index| start + Duration::from_millis(5) * index);
        assert!(sent.into_iter().all(|now| budget.take(now)));
    }

    #[test]
    fn a_close_reason_fits_a_control_frame() {
        let End::Server { reason, .. } = End::server(close_code::POLICY, &"ü".repeat(100)) else {
            unreachable!("the server ends it");
        };
        assert_eq!(reason, "ü".repeat(61));
    }
}
