//! ICE/TCP, passive (RFC 6544): for clients whose network lets no UDP through.
//!
//! A connection says with its first frame, a STUN binding request, which shard it belongs to. Its frames then go
//! through that shard's queue; ICE itself decides whether they may be believed.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Candidates;
use super::admission::{Admission, Admitted};
use super::framing::{Deframer, append_frame};
use super::stun::binding_request_fragment;
use crate::shard::{ShardHandle, TcpInput};

/// Time for the first frame. ICE sends it at once.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection without a frame for this long is dead: ICE checks consent every few seconds (RFC 7675).
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that takes no bytes for this long is gone or hostile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that may wait for the peer: a second of video at 2 Mbit/s. More would arrive too late.
const FRAMES_QUEUED: usize = 256;
/// Bytes written at once; more frames only grow the delay of the first.
const WRITE_BYTES: usize = 16 * 1024;
/// Pause after a failed accept, when the process is short of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which shard has which local ICE user fragment; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments(Arc<Mutex<HashMap<String, usize>>>);

impl Fragments {
    pub(crate) fn insert(&self, fragment: String, shard: usize) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fragment, shard);
    }

    pub(crate) fn remove(&self, fragment: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(fragment);
    }

    fn shard(&self, fragment: &str) -> Option<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(fragment)
            .copied()
    }
}

/// What the listener and its connections share.
#[derive(Clone)]
pub(crate) struct IceTcp {
    pub(crate) fragments: Fragments,
    pub(crate) shards: Arc<[ShardHandle]>,
    pub(crate) candidates: Candidates,
    pub(crate) admission: Admission,
}

impl IceTcp {
    /// Accepts connections until the future is dropped or aborted.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept ICE/TCP connections: raise the limit of open files");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match self.admission.admit(peer.ip()) {
                Ok(admitted) => {
                    tokio::spawn(self.clone().connection(stream, canonical(peer), admitted));
                }
                Err(refused) => debug!(%refused, "ICE/TCP connection refused"),
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, _admitted: Admitted) {
        let end = match self.identify(stream, peer).await {
            Ok(Some((connection, first))) => connection.run(first).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = end {
            debug!(%error, "ICE/TCP connection ended");
        }
    }

    /// Reads the first frame, which says whose connection this is; `None` = nobody's here.
    async fn identify(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<Option<(Connection, Vec<u8>)>> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let (mut read, write) = stream.into_split();
        let mut deframer = Deframer::default();
        let first = timeout(FIRST_FRAME_TIMEOUT, first_frame(&mut read, &mut deframer)).await??;
        let shard =
            binding_request_fragment(&first).and_then(|fragment| self.fragments.shard(fragment));
        let (Some(shard), Some(destination)) = (
            shard.and_then(|index| self.shards.get(index)),
            self.candidates.reached_at(local.ip()),
        ) else {
            return Ok(None);
        };
        let connection = Connection {
            shard: shard.clone(),
            peer,
            destination,
            read,
            write,
            deframer,
        };
        Ok(Some((connection, first)))
    }
}

/// A connection that belongs to a shard.
struct Connection {
    shard: ShardHandle,
    peer: SocketAddr,
    /// The candidate address the peer connected to.
    destination: SocketAddr,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    deframer: Deframer,
}

impl Connection {
    async fn run(self, first: Vec<u8>) -> io::Result<()> {
        let Self {
            shard,
            peer,
            destination,
            read,
            write,
            mut deframer,
        } = self;
        let (frames, queue) = mpsc::channel(FRAMES_QUEUED);
        shard.send_frame(TcpInput::Opened { peer, frames }).await;
        shard
            .send_frame(TcpInput::Frame {
                peer,
                destination,
                contents: first,
            })
            .await;
        // Each direction has its own flow: a congested downlink must not stop what the client sends.
        let end = tokio::select! {
            end = read_frames(read, &mut deframer, &shard, peer, destination) => end,
            end = write_frames(write, queue) => end,
        };
        shard.send_frame(TcpInput::Closed { peer }).await;
        end
    }
}

async fn first_frame(read: &mut OwnedReadHalf, deframer: &mut Deframer) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 2048];
    loop {
        if let Some(frame) = deframer.next().map_err(io::Error::other)? {
            return Ok(frame.to_vec());
        }
        match read.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => deframer.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

async fn read_frames(
    mut read: OwnedReadHalf,
    deframer: &mut Deframer,
    shard: &ShardHandle,
    peer: SocketAddr,
    destination: SocketAddr,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while let Some(frame) = deframer.next().map_err(io::Error::other)? {
            let contents = frame.to_vec();
            if !shard
                .send_frame(TcpInput::Frame {
                    peer,
                    destination,
                    contents,
                })
                .await
            {
                return Ok(());
            }
        }
        match timeout(IDLE_TIMEOUT, read.read(&mut buffer)).await?? {
            0 => return Ok(()),
            count => deframer.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

async fn write_frames(
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut stream = Vec::with_capacity(WRITE_BYTES);
    while let Some(datagram) = queue.recv().await {
        append_frame(&mut stream, &datagram);
        while stream.len() < WRITE_BYTES
            && let Ok(datagram) = queue.try_recv()
        {
            append_frame(&mut stream, &datagram);
        }
        timeout(WRITE_TIMEOUT, write.write_all(&stream)).await??;
        stream.clear();
    }
    Ok(())
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
