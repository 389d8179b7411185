//! The loop of the media thread.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use mio::{Events, Poll, Token, Waker};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::RtcConfig;
use tokio::sync::mpsc::UnboundedSender;
use tradewind_srtp::tap;

use super::commands::{Command, Handle};
use super::timers::{Alarm, Timer, Timers};
use super::view::{Verification, View, Window};
use crate::bot::{Bot, ReceiveBuffers, Shared, Spec, bot_of};
use crate::tally::Tally;

const WAKER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
/// Clients tell what arrived at this interval (libwebrtc: 50 to 250 ms, 50 at the rates of video).
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A frame schedule that is behind by more begins anew.
const MAX_BACKLOG: Duration = Duration::from_secs(1);
/// Commands taken in one turn, so that joins do not hold up frames.
const COMMANDS_PER_TURN: usize = 4;
const MAX_FAILURES_TOLD: usize = 5;

/// Starts the media thread. `run` marks the packets of this run; deliveries later than `late` are counted.
pub(crate) fn start(run: u32, late: Duration) -> io::Result<Handle> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let alarm = Alarm::new(poll.registry(), ALARM)?;
    let (sender, receiver) = mpsc::channel();
    let handle = Handle {
        commands: sender,
        waker,
    };
    let thread = thread::Builder::new().name("media".into());
    thread.spawn(move || Engine::new(poll, alarm, receiver, run, late).run())?;
    Ok(handle)
}

struct Seat {
    bot: Bot,
    requests: UnboundedSender<Request>,
    rtc_set: Instant,
    feedback_set: bool,
    link_set: Option<Instant>,
}

struct Engine {
    poll: Poll,
    alarm: Alarm,
    commands: mpsc::Receiver<Command>,
    seats: Vec<Option<Seat>>,
    shared: Shared,
    timers: Timers,
    rate: f64,
    sending: bool,
    /// Gaps of bots that left.
    missing_of_departed: u64,
}

impl Engine {
    fn new(
        poll: Poll,
        alarm: Alarm,
        commands: mpsc::Receiver<Command>,
        run: u32,
        late: Duration,
    ) -> Self {
        let rtc = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_stats_interval(None)
            .set_crypto_provider(Arc::new(tap::provider()));
        Self {
            poll,
            alarm,
            commands,
            seats: Vec::new(),
            shared: Shared {
                tally: Tally::new(run, late.as_nanos() as u64),
                rooms: Vec::new(),
                rtc,
                scratch: Vec::new(),
            },
            timers: Timers::default(),
            rate: 1.0,
            sending: true,
            missing_of_departed: 0,
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut buffers = ReceiveBuffers::new();
        let mut more: Vec<usize> = Vec::new();
        let mut commands_left = false;
        loop {
            let now = Instant::now();
            let at_once = commands_left || !more.is_empty();
            let wait = match self.timers.next() {
                Some(at) if at > now && !at_once => {
                    if self.alarm.set(now, at).is_err() {
                        return;
                    }
                    None
                }
                None if !at_once => None,
                _ => Some(Duration::ZERO),
            };
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return;
            }
            let now = Instant::now();
            let mut readable: Vec<usize> = std::mem::take(&mut more);
            for event in &events {
                match event.token() {
                    WAKER => commands_left = true,
                    ALARM => {}
                    Token(number) => readable.push(number),
                }
            }
            for number in readable {
                if self.receive(now, number, &mut buffers) {
                    more.push(number);
                }
                self.do_what_is_due();
            }
            self.do_what_is_due();
            if commands_left {
                commands_left = false;
                for _ in 0..COMMANDS_PER_TURN {
                    match self.commands.try_recv() {
                        Ok(Command::Quit) | Err(mpsc::TryRecvError::Disconnected) => return,
                        Ok(command) => {
                            self.command(command);
                            commands_left = true;
                        }
                        Err(mpsc::TryRecvError::Empty) => {
                            commands_left = false;
                            break;
                        }
                    }
                }
            }
        }
    }

    fn receive(&mut self, now: Instant, number: usize, buffers: &mut ReceiveBuffers) -> bool {
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) else {
            return false;
        };
        let was_connected = seat.bot.connected;
        let more = seat.bot.receive(now, buffers, &mut self.shared);
        self.after(number, was_connected);
        more
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        while let Some((at, timer)) = self.timers.pop_due(now) {
            self.fire(now, at, timer);
        }
    }

    fn fire(&mut self, now: Instant, at: Instant, timer: Timer) {
        let (Timer::Frame(number, _)
        | Timer::Message(number)
        | Timer::Rtc(number)
        | Timer::Feedback(number)
        | Timer::Reports(number)
        | Timer::Link(number)) = timer;
        let Some(seat) = self.seats.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let was_connected = seat.bot.connected;
        match timer {
            Timer::Frame(_, encoding) => {
                let Some(interval) = seat
                    .bot
                    .encodings
                    .get(usize::from(encoding))
                    .map(|one| one.layer.interval)
                else {
                    return;
                };
                if !self.sending {
                    return;
                }
                let late = now.saturating_duration_since(at);
                self.shared
                    .tally
                    .lateness
                    .saturating_record(late.as_nanos() as u64);
                seat.bot.send_frame(encoding.into(), &mut self.shared);
                let next = if late > MAX_BACKLOG { now } else { at } + interval.div_f64(self.rate);
                self.timers.set(next, timer);
            }
            Timer::Message(_) => {
                if let Some(messages) = seat.bot.spec.messages.filter(|_| self.sending) {
                    seat.bot.send_message(messages, &mut self.shared);
                    seat.bot.drive(now, &mut self.shared);
                    self.timers
                        .set(at + messages.interval.div_f64(self.rate), timer);
                }
            }
            Timer::Rtc(_) => {
                // A wish that a later one replaced.
                if seat.rtc_set == at {
                    seat.bot.drive(now, &mut self.shared);
                    seat.rtc_set = now;
                }
            }
            Timer::Feedback(_) => {
                seat.feedback_set = false;
                seat.bot.send_feedback(&mut self.shared);
            }
            Timer::Reports(_) => {
                seat.bot.send_reports(&mut self.shared);
                self.timers.set(at + REPORT_INTERVAL, timer);
            }
            Timer::Link(_) => {
                seat.link_set = None;
                seat.bot.receive_delayed(now, &mut self.shared);
            }
        }
        self.after(number as usize, was_connected);
    }

    /// Sets the timers that a bot wants after it was touched.
    fn after(&mut self, number: usize, was_connected: bool) {
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        let bot = number as u32;
        let wakes_at = seat.bot.wakes_at;
        if seat.rtc_set != wakes_at {
            seat.rtc_set = wakes_at;
            self.timers.set(wakes_at, Timer::Rtc(bot));
        }
        if !seat.feedback_set && seat.bot.has_feedback() {
            seat.feedback_set = true;
            self.timers
                .set(Instant::now() + FEEDBACK_INTERVAL, Timer::Feedback(bot));
        }
        let arrival = seat.bot.link.as_ref().and_then(|link| link.next_arrival());
        if let Some(at) = arrival.filter(|_| seat.link_set.is_none()) {
            seat.link_set = Some(at);
            self.timers.set(at, Timer::Link(bot));
        }
        if seat.bot.connected && !was_connected {
            let now = Instant::now();
            // Bots are spread over the interval, as people are.
            let share = f64::from(bot.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX);
            for (place, encoding) in seat.bot.encodings.iter().enumerate() {
                let interval = encoding.layer.interval.div_f64(self.rate);
                self.timers.set(
                    now + interval.mul_f64(share),
                    Timer::Frame(bot, place as u16),
                );
            }
            if let Some(messages) = seat.bot.spec.messages {
                self.timers
                    .set(now + messages.interval.mul_f64(share), Timer::Message(bot));
            }
            self.timers
                .set(now + REPORT_INTERVAL.mul_f64(share), Timer::Reports(bot));
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add {
                number,
                spec,
                ip,
                requests,
                offer,
            } => {
                let added = self
                    .add(number, *spec, ip, requests)
                    .map_err(|error| error.to_string());
                // The caller is gone if the run was broken off.
                let _ = offer.send(added);
            }
            Command::Response(number, response) => self.response(number as usize, *response),
            Command::Remove(number) => {
                if let Some(seat) = self.seats.get_mut(number as usize).and_then(Option::take)
                    && seat.bot.link.is_none()
                {
                    let gaps = seat
                        .bot
                        .accounts
                        .values()
                        .map(|account| account.missing(|_| 0));
                    self.missing_of_departed += gaps.sum::<u64>();
                }
            }
            Command::Rate(rate) => self.rate = rate,
            Command::Stop => self.sending = false,
            Command::BeginWindow => self.shared.tally.begin_window(),
            Command::EndWindow(reply) => {
                let tally = &self.shared.tally;
                let _ = reply.send(Window {
                    counts: tally.counts.clone(),
                    latency: tally.latency.clone(),
                    lateness: tally.lateness.clone(),
                });
            }
            Command::Look(reply) => {
                let _ = reply.send(self.look());
            }
            Command::Verify(reply) => {
                let _ = reply.send(self.verify());
            }
            Command::Quit => {}
        }
    }

    fn add(
        &mut self,
        number: u32,
        spec: Spec,
        ip: std::net::IpAddr,
        requests: UnboundedSender<Request>,
    ) -> Result<proto::SessionDescription, crate::bot::BotError> {
        let place = number as usize;
        if self.seats.len() <= place {
            self.seats.resize_with(place + 1, || None);
            self.shared.rooms.resize(place + 1, u32::MAX);
        }
        self.shared.rooms[place] = spec.room;
        let now = Instant::now();
        let (bot, offer) = Bot::new(number, spec, ip, now, self.poll.registry(), &self.shared)?;
        self.seats[place] = Some(Seat {
            bot,
            requests,
            rtc_set: now,
            feedback_set: false,
            link_set: None,
        });
        self.timers.set(now, Timer::Rtc(number));
        Ok(offer)
    }

    fn response(&mut self, number: usize, response: Response) {
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        let was_connected = seat.bot.connected;
        let request = match response {
            Response::Answer(answer) => seat.bot.answer(&answer).unwrap_or_else(|error| {
                seat.bot.failed.get_or_insert_with(|| error.to_string());
                None
            }),
            Response::MediaSectionsRequirement(wanted) => {
                seat.bot.add_sections(wanted.num_audios, wanted.num_videos)
            }
            Response::Trickle(trickle) => {
                seat.bot.candidate(&trickle.candidate_init);
                None
            }
            Response::Leave(leave) => {
                let reason = format!("the server ended the session: {:?}", leave.reason());
                seat.bot.failed.get_or_insert(reason);
                None
            }
            _ => None,
        };
        if let Some(request) = request {
            // A connection that has ended shows as a failed bot.
            let _ = seat.requests.send(request);
        }
        seat.bot.drive(Instant::now(), &mut self.shared);
        self.after(number, was_connected);
    }

    fn look(&self) -> View {
        let mut view = View {
            counts: self.shared.tally.counts.clone(),
            ..View::default()
        };
        for seat in self.seats.iter().flatten() {
            view.connected += u32::from(seat.bot.connected);
            if let Some(failure) = &seat.bot.failed {
                view.failed += 1;
                if view.failures.len() < MAX_FAILURES_TOLD && !view.failures.contains(failure) {
                    view.failures.push(failure.clone());
                }
            }
        }
        self.pairs(|live| {
            view.pairs_expected += 1;
            view.pairs_live += u64::from(live);
        });
        let latency = &self.shared.tally.latency;
        view.p50_ns = latency.value_at_quantile(0.5);
        view.p99_ns = latency.value_at_quantile(0.99);
        view
    }

    /// Calls `each` for every receiver and source that should reach it, and says whether something came.
    fn pairs(&self, mut each: impl FnMut(bool)) {
        let mut rooms: std::collections::BTreeMap<u32, Vec<(u32, u32)>> =
            std::collections::BTreeMap::new();
        for (number, seat) in self.seats.iter().enumerate() {
            if let Some(seat) = seat.as_ref().filter(|seat| seat.bot.connected) {
                let sources = seat.bot.sources().map(|source| (number as u32, source));
                rooms.entry(seat.bot.spec.room).or_default().extend(sources);
            }
        }
        for (number, seat) in self.seats.iter().enumerate() {
            let Some(seat) = seat.as_ref().filter(|seat| seat.bot.connected) else {
                continue;
            };
            for (owner, source) in rooms.get(&seat.bot.spec.room).into_iter().flatten() {
                if *owner != number as u32 {
                    each(seat.bot.accounts.contains_key(source));
                }
            }
        }
    }

    fn verify(&self) -> Verification {
        let mut verification = Verification {
            missing: self.missing_of_departed,
            ..Verification::default()
        };
        self.pairs(|live| {
            verification.pairs_expected += 1;
            verification.pairs_silent += u64::from(!live);
        });
        for seat in self.seats.iter().flatten() {
            for (source, account) in &seat.bot.accounts {
                let owner = self
                    .seats
                    .get(bot_of(*source) as usize)
                    .and_then(Option::as_ref);
                let missing = account.missing(|layer| {
                    owner
                        .and_then(|owner| owner.bot.stamped(*source, layer))
                        .unwrap_or(0)
                });
                verification.layer_switches += account.switches;
                if seat.bot.link.is_some() {
                    verification.missing_behind_bad_links += missing;
                    verification.received_behind_bad_links += account.received;
                } else {
                    verification.missing += missing;
                }
            }
            verification.ports.push(seat.bot.socket.local.port());
            if let Some(port) = seat
                .bot
                .remote_port()
                .filter(|port| !verification.server_ports.contains(port))
            {
                verification.server_ports.push(port);
            }
        }
        verification
    }
}
