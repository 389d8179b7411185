"""One SDK client in a room: what it sends (tones, colours), what it heard and saw."""

import asyncio
import time
from collections import deque

import numpy as np
from livekit import rtc

RATE = 48_000
FRAMES_PER_SECOND = 15
COLOURS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (40, 60, 210), "grey": (128, 128, 128)}
COLOUR_TOLERANCE = 28
EVENTS = [
    "connected", "participant_connected", "participant_disconnected", "local_track_published",
    "local_track_unpublished", "track_published", "track_unpublished", "track_subscribed",
    "track_unsubscribed", "track_subscription_failed", "track_muted", "track_unmuted",
    "active_speakers_changed", "room_metadata_changed", "participant_metadata_changed",
    "participant_name_changed", "participant_attributes_changed", "connection_quality_changed",
    "data_received", "e2ee_state_changed", "connection_state_changed", "disconnected",
    "reconnecting", "reconnected", "participant_permissions_changed", "local_track_republished",
    "track_subscription_permission_changed", "token_refreshed", "participant_active",
]


async def until(check, what: str, seconds: float = 10.0):
    """Waits for check() to be true; says what did not happen otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.02)


async def never(check, what: str, seconds: float = 1.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not check(), f"happened but must not: {what}"
        await asyncio.sleep(0.02)


class Ear:
    """Listens to one audio track and keeps its last seconds."""

    def __init__(self, track):
        self.track = track
        self.stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
        self.blocks: deque[np.ndarray] = deque(maxlen=3000)
        self.at = 0.0
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.stream:
            self.blocks.append(np.frombuffer(event.frame.data, dtype=np.int16).copy())
            self.at = time.monotonic()

    def forget(self) -> None:
        self.blocks.clear()

    def samples(self) -> np.ndarray:
        return np.concatenate(self.blocks) if self.blocks else np.zeros(0, np.int16)

    def frequency(self, seconds: float = 0.5) -> float:
        """The dominant frequency of the newest part; 0 while quiet, too short or no longer fed."""
        if time.monotonic() - self.at > 0.3:
            return 0.0
        part = self.samples()[-int(RATE * seconds):].astype(np.float64)
        if len(part) < int(RATE * seconds) or level(part) < 200:
            return 0.0
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        return float(np.argmax(spectrum) * RATE / len(part))

    def longest_gap(self) -> float:
        """Seconds of the longest run of 10 ms windows that carry less than a fifth of the usual
        level. The decoder hides short losses by stretching the tone, so this sees only losses
        that it could not hide; lost_packets() of the track's statistics tells the rest."""
        samples = self.samples().astype(np.float64)
        windows = samples[: len(samples) // 480 * 480].reshape(-1, 480)
        levels = np.sqrt((windows ** 2).mean(axis=1))
        quiet = levels < np.median(levels) / 5
        longest = run = 0
        for silent in quiet:
            run = run + 1 if silent else 0
            longest = max(longest, run)
        return longest * 0.01


class Eye:
    """Watches one video track and keeps what its newest frame looked like."""

    def __init__(self, track):
        self.track = track
        self.stream = rtc.VideoStream(track, capacity=1, format=rtc.VideoBufferType.RGBA)
        self.frames = 0
        self.size = (0, 0)
        self.colour = (0, 0, 0)
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async for event in self.stream:
            frame = event.frame
            pixels = np.frombuffer(frame.data, dtype=np.uint8).reshape(frame.height, frame.width, 4)
            centre = pixels[frame.height // 4: frame.height // 2, frame.width // 4: frame.width // 2, :3]
            self.colour = tuple(int(c) for c in centre.reshape(-1, 3).mean(axis=0))
            self.size = (frame.width, frame.height)
            self.frames += 1

    def shows(self, colour: str) -> bool:
        near = np.abs(np.array(self.colour) - np.array(COLOURS[colour])).max() <= COLOUR_TOLERANCE
        return self.frames > 0 and bool(near)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean())) if len(samples) else 0.0


class Peer:
    def __init__(self, server, room: str, identity: str):
        self.server, self.room_name, self.identity = server, room, identity
        self.room = rtc.Room()
        self.events: list[tuple] = []
        self.ears: dict[tuple[str, str], Ear] = {}
        self.eyes: dict[tuple[str, str], Eye] = {}
        self.past: list[Ear | Eye] = []
        self.tasks: list[asyncio.Task] = []
        for event in EVENTS:
            self.room.on(event, self._recorder(event))
        self.room.on("track_subscribed", self._attach)
        self.room.on("track_unsubscribed", self._detach)

    def _recorder(self, event: str):
        return lambda *values: self.events.append((event, *values))

    def _attach(self, track, publication, participant) -> None:
        key = (participant.identity, publication.name)
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self.ears[key] = Ear(track)
        else:
            self.eyes[key] = Eye(track)

    def _detach(self, track, publication, participant) -> None:
        key = (participant.identity, publication.name)
        for senses in (self.ears, self.eyes):
            if key in senses and senses[key].track.sid == track.sid:
                self.past.append(senses.pop(key))

    async def connect(self, *, url: str = "", token: str = "", v0: bool = False,
                      options: dict | None = None, **grants) -> None:
        token = token or self.server.token(self.room_name, self.identity, **grants)
        settings = rtc.RoomOptions(single_peer_connection=False if v0 else None, **(options or {}))
        await asyncio.wait_for(self.room.connect(url or self.server.url, token, settings), 20)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.room.isconnected():
            await self.room.disconnect()
        for sense in [*self.ears.values(), *self.eyes.values(), *self.past]:
            sense.task.cancel()
            await sense.stream.aclose()

    @property
    def local(self) -> rtc.LocalParticipant:
        return self.room.local_participant

    # What was told to this client.

    def told(self, event: str) -> list[tuple]:
        return [e[1:] for e in self.events if e[0] == event]

    def data(self) -> list[rtc.DataPacket]:
        return [e[0] for e in self.told("data_received")]

    def remote(self, identity: str) -> rtc.RemoteParticipant | None:
        return self.room.remote_participants.get(identity)

    def publication(self, identity: str, name: str):
        found = self.remote(identity)
        for publication in found.track_publications.values() if found else []:
            if publication.name == name:
                return publication
        return None

    # What this client sends.

    async def speak(self, hertz: float, name: str = "voice", **options):
        source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track(name, source)
        settings = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, **options)
        publication = await asyncio.wait_for(self.local.publish_track(track, settings), 10)
        self.tasks.append(asyncio.create_task(self._hum(source, hertz)))
        return publication

    @staticmethod
    async def _hum(source: rtc.AudioSource, hertz: float) -> None:
        size, at = RATE // 50, 0
        while True:
            time_axis = (np.arange(size) + at) / RATE
            tone = (8000 * np.sin(2 * np.pi * hertz * time_axis)).astype(np.int16)
            await source.capture_frame(rtc.AudioFrame(tone.tobytes(), RATE, 1, size))
            at += size

    async def show(self, colour: str, name: str = "picture", width: int = 640, height: int = 360,
                   simulcast: bool = True, codec: str = "VP8", **options):
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track(name, source)
        settings = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=simulcast,
            video_codec=rtc.VideoCodec.Value(codec), **options)
        publication = await asyncio.wait_for(self.local.publish_track(track, settings), 10)
        self.tasks.append(asyncio.create_task(self._paint(source, colour, width, height)))
        return publication

    @staticmethod
    async def _paint(source: rtc.VideoSource, colour: str, width: int, height: int) -> None:
        canvas = np.empty((height, width, 4), np.uint8)
        canvas[:] = (*COLOURS[colour], 255)
        tick = 0
        while True:
            # A bar wanders along the lower edge so that frames differ; the middle stays plain.
            canvas[-height // 8:, :, :3] = COLOURS[colour]
            left = tick * 16 % width
            canvas[-height // 8:, left: left + 32, :3] = 255
            source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, canvas.tobytes()))
            tick += 1
            await asyncio.sleep(1 / FRAMES_PER_SECOND)

    # What this client perceives of others.

    async def hears(self, identity: str, hertz: float, name: str = "voice", seconds: float = 10) -> Ear:
        def heard() -> Ear | None:
            ear = self.ears.get((identity, name))
            return ear if ear and abs(ear.frequency() - hertz) < 12 else None

        return await until(heard, f"{self.identity} hears {hertz} Hz of {identity}", seconds)

    async def sees(self, identity: str, colour: str, name: str = "picture", seconds: float = 15) -> Eye:
        def seen() -> Eye | None:
            eye = self.eyes.get((identity, name))
            return eye if eye and eye.shows(colour) else None

        try:
            return await until(seen, "the colour", seconds)
        except AssertionError:
            eye = self.eyes.get((identity, name))
            state = f"{eye.frames} frames, the last {eye.colour}" if eye else "no such track"
            raise AssertionError(
                f"{self.identity} must see {identity} in {COLOURS[colour]} but has {state}") from None

    async def sees_growth(self, eye: Eye, frames: int = 5, seconds: float = 5) -> None:
        start = eye.frames
        await until(lambda: eye.frames >= start + frames, f"{self.identity} gets new frames", seconds)


async def lost_packets(track) -> tuple[int, int]:
    """Packets of the received track that never came, and those that did."""
    for entry in await track.get_stats():
        if entry.WhichOneof("stats") == "inbound_rtp":
            received = entry.inbound_rtp.received
            return received.packets_lost, received.packets_received
    raise AssertionError("no statistics of a received stream")
