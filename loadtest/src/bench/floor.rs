//! The floor: what the machine takes to seal and send packets, without a server around it.
//!
//! Own header, copy, AES-GCM, a ring of packets for retransmission, one GSO send for each frame and destination. It runs
//! as a process of its own on the server's core and sends to sockets that this program reads on the generator's core.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use tradewind_srtp::{MasterKey, Profile, Sealer};

use super::MachineArgs;
use super::naive;
use super::server::on_core;
use crate::bot::{ReceiveBuffers, Socket};
use crate::process;
use crate::wire::rtp::NewHeader;

/// Destinations, as in the figure of the server that it stands beside.
pub(super) const DESTINATIONS: usize = 50;
/// Attempts to run a phase without losing a packet on the way.
const TRIES: u32 = 4;
/// Packets kept for each destination.
const RING: usize = 512;

#[derive(Args)]
pub(crate) struct FloorArgs {
    /// Where to send to.
    #[arg(long, required = true, value_delimiter = ',')]
    destinations: Vec<SocketAddr>,
    #[arg(long, default_value_t = 10)]
    packets_per_frame: usize,
    #[arg(long, default_value_t = 1_200)]
    packet_bytes: usize,
    /// Frames to send to each destination.
    #[arg(long)]
    frames: u32,
    /// Between two frames, us.
    #[arg(long)]
    interval_us: u64,
    /// One drain of the WebRTC library and one send call for each packet, instead.
    #[arg(long)]
    naive: bool,
}

/// What the floor process tells.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Floor {
    pub(super) packets: u64,
    pub(super) cpu_ns: u64,
}

impl Floor {
    pub(super) fn ns_per_packet(&self) -> f64 {
        self.cpu_ns as f64 / self.packets.max(1) as f64
    }
}

/// The floor process.
pub(crate) fn run(args: &FloorArgs) -> anyhow::Result<()> {
    let payload: Arc<[u8]> = vec![0xAB; args.packet_bytes].into();
    let mut senders: Box<dyn Frames> = match args.naive {
        true => Box::new(naive::Naive::connect(&args.destinations)?),
        false => Box::new(Best::new(&args.destinations)?),
    };
    // Warm caches and sockets first.
    senders.send_frame(args.packets_per_frame, &payload)?;
    let before = process::read(std::process::id())?;
    let mut packets = 0;
    let mut at = Instant::now();
    for _ in 0..args.frames {
        packets += senders.send_frame(args.packets_per_frame, &payload)?;
        at += Duration::from_micros(args.interval_us);
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }
    let after = process::read(std::process::id())?;
    println!(
        "{}",
        serde_json::to_string(&Floor {
            packets,
            cpu_ns: process::cpu_between(&before, &after)
        })?
    );
    Ok(())
}

/// Sends a frame to every destination; gives back how many packets left.
pub(super) trait Frames {
    fn send_frame(&mut self, packets: usize, payload: &Arc<[u8]>) -> anyhow::Result<u64>;
}

struct Best {
    socket: Socket,
    lanes: Vec<Lane>,
    buffer: Vec<u8>,
}

struct Lane {
    destination: SocketAddr,
    sealer: Sealer,
    sequence: u64,
    /// Header and payload of what was sent.
    ring: VecDeque<(u64, u32, Arc<[u8]>)>,
}

impl Best {
    fn new(destinations: &[SocketAddr]) -> anyhow::Result<Self> {
        let lane = |(number, destination): (usize, &SocketAddr)| {
            let profile = Profile::AeadAes128Gcm;
            let key = MasterKey::new(profile, &[number as u8; 16], &[7; 12])?;
            Ok(Lane {
                destination: *destination,
                sealer: Sealer::new(profile, &key)?,
                sequence: 0,
                ring: VecDeque::with_capacity(RING),
            })
        };
        Ok(Self {
            socket: Socket::bind(destinations[0].ip())?,
            lanes: destinations
                .iter()
                .enumerate()
                .map(lane)
                .collect::<anyhow::Result<_>>()?,
            buffer: Vec::with_capacity(65_536),
        })
    }
}

impl Frames for Best {
    fn send_frame(&mut self, packets: usize, payload: &Arc<[u8]>) -> anyhow::Result<u64> {
        let mut sent = 0;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            self.buffer.clear();
            let mut size = 0;
            for packet in 0..packets {
                let start = self.buffer.len();
                let timestamp = (lane.sequence as u32).wrapping_mul(300);
                let transport_sequence = (lane.sequence as u16).to_be_bytes();
                let header = NewHeader {
                    payload_type: 96,
                    marker: packet + 1 == packets,
                    sequence: lane.sequence as u16,
                    timestamp,
                    ssrc: number as u32 + 1,
                    extensions: &[(3, &transport_sequence), (4, b"0ab")],
                };
                header.append(&mut self.buffer);
                self.buffer.extend_from_slice(payload);
                lane.sealer
                    .seal_rtp(&mut self.buffer, start, lane.sequence)?;
                size = self.buffer.len() - start;
                if lane.ring.len() == RING {
                    lane.ring.pop_front();
                }
                lane.ring
                    .push_back((lane.sequence, timestamp, payload.clone()));
                lane.sequence += 1;
            }
            self.socket.send(lane.destination, &self.buffer, size)?;
            sent += packets as u64;
        }
        Ok(sent)
    }
}

/// Sockets on this process's core that count what comes.
pub(super) struct Sink {
    pub(super) addresses: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sink {
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut poll = Poll::new()?;
        let mut sockets = Vec::new();
        for number in 0..DESTINATIONS {
            let mut socket = Socket::bind([127, 0, 0, 1].into())?;
            poll.registry()
                .register(&mut socket.io, Token(number), Interest::READABLE)?;
            sockets.push(socket);
        }
        let addresses = sockets.iter().map(|socket| socket.local).collect();
        let (received, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, stopped) = (received.clone(), stop.clone());
        let thread = thread::Builder::new().name("sink".into()).spawn(move || {
            let mut buffers = ReceiveBuffers::new();
            let mut events = Events::with_capacity(256);
            while !stopped.load(Ordering::Relaxed) {
                if poll
                    .poll(&mut events, Some(Duration::from_millis(50)))
                    .is_err()
                {
                    continue;
                }
                for event in &events {
                    let Some(socket) = sockets.get(event.token().0) else {
                        continue;
                    };
                    while socket.receive(&mut buffers, |_, _, datagram| {
                        // Handshakes of the naive floor do not come here, so that every datagram is media.
                        count.fetch_add(u64::from(!datagram.is_empty()), Ordering::Relaxed);
                    }) {}
                }
            }
        })?;
        Ok(Self {
            addresses,
            received,
            stop,
            thread: Some(thread),
        })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has counted too little, which the comparison of counts shows.
            let _ = thread.join();
        }
    }
}

/// Runs one floor phase of about two seconds on the server's core.
///
/// # Errors
/// Packets were lost each time: the sink could not read them.
pub(super) fn measure(machine: &MachineArgs, sink: &Sink, naive: bool) -> anyhow::Result<Floor> {
    let mut lost = 0;
    for _ in 0..TRIES {
        let before = sink.received();
        let floor = once(machine, sink, naive)?;
        thread::sleep(Duration::from_millis(200));
        lost = floor.packets.saturating_sub(sink.received() - before);
        if lost == 0 {
            return Ok(floor);
        }
    }
    bail!("{lost} packets of the floor were lost: the generator's core is too busy")
}

fn once(machine: &MachineArgs, sink: &Sink, naive: bool) -> anyhow::Result<Floor> {
    let destinations: Vec<String> = sink.addresses.iter().map(ToString::to_string).collect();
    let mut command = on_core(machine.server_core, machine.nice);
    command.arg(std::env::current_exe()?).args([
        "floor",
        "--destinations",
        &destinations.join(","),
    ]);
    // 50,000 packets a second, as the server beside it, or 25,000 of the naive kind: each well below a core.
    match naive {
        true => command.args(["--frames", "100", "--interval-us", "20000", "--naive"]),
        false => command.args(["--frames", "200", "--interval-us", "10000"]),
    };
    let output = command
        .output()
        .context("the floor process cannot be started")?;
    if !output.status.success() {
        bail!(
            "the floor process failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout).context("the floor process told nothing")
}
