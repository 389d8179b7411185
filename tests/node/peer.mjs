// One SDK client in a room: what it sends (a tone, a colour), what it heard and saw.

import {
  AudioFrame, AudioSource, AudioStream, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent,
  TrackKind, TrackPublishOptions, TrackSource, VideoBufferType, VideoFrame, VideoSource, VideoStream,
} from '@livekit/rtc-node';
import { sleep, until } from '../lib/server.mjs';

const RATE = 48_000;
const COLOUR_TOLERANCE = 28;

/** The strength of one frequency against the whole of the samples, 0..1 for a pure tone. */
export function share(samples, hertz) {
  let [sine, cosine, energy] = [0, 0, 0];
  samples.forEach((value, at) => {
    const angle = (2 * Math.PI * hertz * at) / RATE;
    sine += value * Math.sin(angle);
    cosine += value * Math.cos(angle);
    energy += value * value;
  });
  return energy === 0 ? 0 : (2 * (sine * sine + cosine * cosine)) / (samples.length * energy);
}

export class Peer {
  constructor(server, room, identity) {
    Object.assign(this, { server, roomName: room, identity, busy: true, data: [], told: [] });
    this.heard = new Map();
    this.seen = new Map();
    this.room = new Room();
    this.room.on(RoomEvent.DataReceived, (payload, from, kind, topic) =>
      this.data.push({ text: new TextDecoder().decode(payload), from: from?.identity, kind, topic }));
    this.room.on(RoomEvent.TrackSubscribed, (track, _, from) => this.attach(track, from.identity));
    for (const event of ['disconnected', 'trackUnpublished']) {
      this.room.on(event, (...values) => this.told.push([event, ...values]));
    }
  }

  async connect(grants = {}) {
    const token = this.server.token(this.roomName, this.identity, grants);
    await this.room.connect(this.server.url, token, { autoSubscribe: true, dynacast: false });
    return this;
  }

  async leave() {
    this.busy = false;
    await this.room.disconnect();
  }

  async attach(track, identity) {
    if (track.kind === TrackKind.KIND_AUDIO) {
      for await (const frame of new AudioStream(track, RATE, 1)) {
        const kept = this.heard.get(identity) ?? [];
        this.heard.set(identity, [...kept, ...frame.data].slice(-RATE / 4));
      }
    } else {
      for await (const { frame } of new VideoStream(track)) {
        const rgba = frame.convert(VideoBufferType.RGBA);
        const at = (Math.floor(rgba.height / 3) * rgba.width + Math.floor(rgba.width / 3)) * 4;
        const count = (this.seen.get(identity)?.count ?? 0) + 1;
        this.seen.set(identity, { count, colour: [...rgba.data.slice(at, at + 3)] });
      }
    }
  }

  async speak(hertz) {
    const source = new AudioSource(RATE, 1, 200);
    const track = LocalAudioTrack.createAudioTrack('voice', source);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
    const publication = await this.room.localParticipant.publishTrack(track, options);
    const size = RATE / 50;
    (async () => {
      for (let at = 0; this.busy; at += size) {
        const tone = Int16Array.from({ length: size },
          (_, i) => 8000 * Math.sin((2 * Math.PI * hertz * (at + i)) / RATE));
        await source.captureFrame(new AudioFrame(tone, RATE, 1, size));
      }
    })().catch(() => {});
    return publication;
  }

  async show(colour, width = 320, height = 180) {
    const source = new VideoSource(width, height);
    const track = LocalVideoTrack.createVideoTrack('picture', source);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA, simulcast: true });
    const publication = await this.room.localParticipant.publishTrack(track, options);
    const pixels = new Uint8Array(width * height * 4);
    for (let at = 0; at < pixels.length; at += 4) pixels.set([...colour, 255], at);
    (async () => {
      while (this.busy) {
        source.captureFrame(new VideoFrame(pixels, width, height, VideoBufferType.RGBA));
        await sleep(66);
      }
    })().catch(() => {});
    return publication;
  }

  hears(identity, hertz) {
    return until(() => {
      const samples = this.heard.get(identity) ?? [];
      return samples.length === RATE / 4 && share(samples, hertz) > 0.8;
    }, `${this.identity} hears ${hertz} Hz of ${identity}`);
  }

  sees(identity, colour) {
    return until(() => {
      const seen = this.seen.get(identity);
      return seen && colour.every((part, i) => Math.abs(part - seen.colour[i]) <= COLOUR_TOLERANCE);
    }, `${this.identity} sees ${identity} in ${colour}`, 15_000);
  }
}
