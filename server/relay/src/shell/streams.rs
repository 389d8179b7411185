//! The streams of a link: one for control, some for rooms. A room always uses the same one, so its messages stay in order; a
//! lost packet holds up the rooms of one stream only.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::inbox::{Delivery, Event};
use super::session::PROTOCOL;
use crate::frame::{Frame, FrameReader};
use crate::id::{NodeId, RoomKey};

/// Streams that rooms share.
const ROOM_STREAMS: u64 = 8;
/// Streams in each direction: control and rooms.
pub(crate) const MAX_STREAMS: u32 = 1 + ROOM_STREAMS as u32;
/// Frames that wait for the link's task; a fuller queue lets QUIC hold the peer back.
const FRAMES_WAITING: usize = 256;
/// Bytes that may wait to be written to one stream. Beyond, the link is given up: reliable messages are never left out.
const MAX_UNWRITTEN: usize = 16 << 20;
/// How long an event waits to be offered again.
const OFFER_AGAIN: Duration = Duration::from_millis(2);

/// Writes frames to the streams of a link.
pub(crate) struct Writers {
    connection: Connection,
    control: Writer,
    rooms: BTreeMap<u64, Writer>,
    tasks: JoinSet<()>,
}

struct Writer {
    frames: mpsc::UnboundedSender<Bytes>,
    unwritten: Arc<AtomicUsize>,
}

impl Writers {
    pub(crate) fn new(connection: Connection, control: SendStream) -> Self {
        let mut tasks = JoinSet::new();
        let (writer, frames) = Writer::new();
        tasks.spawn(write(control, frames, writer.unwritten.clone()));
        Self {
            connection,
            control: writer,
            rooms: BTreeMap::new(),
            tasks,
        }
    }

    /// Queues a control frame; gives its size.
    pub(crate) fn control(&mut self, frame: &Frame) -> usize {
        self.control.push(&self.connection, frame)
    }

    /// Queues a message of a room; gives its size.
    pub(crate) fn room(&mut self, room: RoomKey, payload: Bytes) -> usize {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let writer = self
            .rooms
            .entry(hasher.finish() % ROOM_STREAMS)
            .or_insert_with(|| {
                let (writer, frames) = Writer::new();
                let (connection, unwritten) = (self.connection.clone(), writer.unwritten.clone());
                self.tasks.spawn(async move {
                    if let Ok(stream) = connection.open_uni().await {
                        write(stream, frames, unwritten).await;
                    }
                });
                writer
            });
        writer.push(&self.connection, &Frame::Room { room, payload })
    }
}

impl Writer {
    fn new() -> (Self, mpsc::UnboundedReceiver<Bytes>) {
        let (frames, receiver) = mpsc::unbounded_channel();
        (
            Self {
                frames,
                unwritten: Arc::default(),
            },
            receiver,
        )
    }

    fn push(&self, connection: &Connection, frame: &Frame) -> usize {
        let bytes = frame.encode();
        let size = bytes.len();
        let before = self.unwritten.fetch_add(size, Ordering::Relaxed);
        // A writer that has ended shows in the connection.
        if before + size > MAX_UNWRITTEN || self.frames.send(bytes).is_err() {
            connection.close(PROTOCOL, b"the peer reads too slowly");
        }
        size
    }
}

async fn write(
    mut stream: SendStream,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    unwritten: Arc<AtomicUsize>,
) {
    while let Some(frame) = frames.recv().await {
        let size = frame.len();
        if stream.write_chunk(frame).await.is_err() {
            return;
        }
        unwritten.fetch_sub(size, Ordering::Relaxed);
    }
}

/// Reads the peer's streams until it is dropped.
pub(crate) struct Readers {
    pub(crate) frames: mpsc::Receiver<Frame>,
    _tasks: JoinSet<()>,
}

/// What every reader needs.
#[derive(Clone)]
struct Reading {
    connection: Connection,
    peer: NodeId,
    delivery: Arc<dyn Delivery>,
    frames: mpsc::Sender<Frame>,
}

impl Readers {
    pub(crate) fn new(
        connection: Connection,
        peer: NodeId,
        delivery: Arc<dyn Delivery>,
        control: (RecvStream, FrameReader),
    ) -> Self {
        let (sender, frames) = mpsc::channel(FRAMES_WAITING);
        let reading = Reading {
            connection,
            peer,
            delivery,
            frames: sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(reading.clone().read(control.0, control.1));
        tasks.spawn(async move {
            let mut rooms = JoinSet::new();
            while let Ok(stream) = reading.connection.accept_uni().await {
                rooms.spawn(reading.clone().read(stream, FrameReader::default()));
            }
        });
        Self {
            frames,
            _tasks: tasks,
        }
    }
}

impl Reading {
    async fn read(self, mut stream: RecvStream, mut reader: FrameReader) {
        loop {
            match reader.next_frame() {
                // Straight to the room: a slow room holds back its stream, never the link's media.
                Ok(Some(Frame::Room { room, payload })) => {
                    offer(
                        &*self.delivery,
                        Event::Room {
                            peer: self.peer.clone(),
                            room,
                            payload,
                        },
                    )
                    .await;
                }
                Ok(Some(frame)) => {
                    if self.frames.send(frame).await.is_err() {
                        return;
                    }
                }
                Ok(None) => match stream.read_chunk(65_536, true).await {
                    Ok(Some(chunk)) => reader.push(&chunk.bytes),
                    Ok(None) | Err(_) => return,
                },
                Err(error) => {
                    self.connection
                        .close(PROTOCOL, error.to_string().as_bytes());
                    return;
                }
            }
        }
    }
}

/// Delivers an event for certain, however long it takes.
pub(crate) async fn offer(delivery: &dyn Delivery, mut event: Event) {
    while let Err(back) = delivery.event(event) {
        event = *back;
        tokio::time::sleep(OFFER_AGAIN).await;
    }
}
