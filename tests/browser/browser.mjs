// A headless browser with fake devices, the page under test, and what its connections report.

import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { until } from '../lib/server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const sdk = path.dirname(createRequire(import.meta.url).resolve('livekit-client'));

const FILES = {
  '/sdk': [path.join(here, 'page/sdk.html'), 'text/html'],
  '/sdk.js': [path.join(here, 'page/sdk.js'), 'text/javascript'],
  '/livekit-client.umd.js': [path.join(sdk, 'livekit-client.umd.js'), 'text/javascript'],
  '/livekit-client.e2ee.worker.js': [path.join(sdk, 'livekit-client.e2ee.worker.js'), 'text/javascript'],
};

const FLAGS = [
  '--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', '--auto-accept-this-tab-capture',
  '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-gpu',
];

/** A browser with fake devices; `picture` is a Y4M file its camera shows. */
export function launchChromium({ refuseDevices = false, picture } = {}) {
  const flags = refuseDevices
    ? FLAGS.map((flag) => flag.replace('--use-fake-ui-for-media-stream', '--deny-permission-prompts'))
    : FLAGS.concat(picture ? [`--use-file-for-fake-video-capture=${picture}`] : []);
  return chromium.launch({
    executablePath: process.env.TRADEWIND_CHROMIUM ?? '/usr/bin/chromium', args: flags, headless: true });
}

/** Serves the bare SDK page. */
export async function servePage() {
  const listener = http.createServer((request, reply) => {
    const found = FILES[request.url.split('?')[0]];
    if (!found) return reply.writeHead(404).end();
    reply.writeHead(200, { 'content-type': found[1] });
    return fs.createReadStream(found[0]).pipe(reply);
  });
  await new Promise((done) => listener.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${listener.address().port}/sdk`,
    close: () => { listener.closeAllConnections(); listener.close(); },
  };
}

/** Runs in the page before its own scripts: keeps every RTCPeerConnection, sums up statistics. */
export function watchPeers({ onlyTcp = false } = {}) {
  const peers = [];
  const Native = window.RTCPeerConnection;
  const isUdp = (line) => /^(a=)?candidate:\S+ \d+ udp /i.test(line);
  const withoutUdp = ({ type, sdp }) => ({
    type, sdp: onlyTcp ? sdp.split('\r\n').filter((line) => !isUdp(line)).join('\r\n') : sdp });
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      peers.push(this);
    }

    async createOffer(...args) {
      return withoutUdp(await super.createOffer(...args));
    }

    setRemoteDescription(description) {
      return super.setRemoteDescription(withoutUdp(description));
    }

    set onicecandidate(handler) {
      super.onicecandidate = (event) => {
        if (!onlyTcp || !event.candidate || !isUdp(event.candidate.candidate)) handler?.(event);
      };
    }

    addIceCandidate(candidate) {
      if (onlyTcp && candidate && isUdp(candidate.candidate)) return Promise.resolve();
      return super.addIceCandidate(candidate);
    }
  };
  window.mediaStats = async () => {
    const total = { frames: 0, energy: 0, width: 0, height: 0, codec: '', layers: {}, protocol: '', peers: 0 };
    for (const peer of peers.filter((one) => one.connectionState !== 'closed')) {
      total.peers += 1;
      const report = await peer.getStats();
      for (const entry of report.values()) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'video' && entry.framesDecoded) {
          total.frames += entry.framesDecoded;
          total.width = entry.frameWidth;
          total.height = entry.frameHeight;
          total.codec = report.get(entry.codecId)?.mimeType ?? '';
        }
        if (entry.type === 'inbound-rtp' && entry.kind === 'audio') total.energy += entry.totalAudioEnergy ?? 0;
        if (entry.type === 'outbound-rtp' && entry.kind === 'video') {
          total.layers[entry.rid ?? ''] = { frames: entry.framesEncoded, active: entry.active };
        }
        if (entry.type === 'candidate-pair' && entry.nominated && entry.state === 'succeeded') {
          total.protocol = report.get(entry.localCandidateId)?.protocol ?? '';
        }
      }
    }
    return total;
  };
}

export const stats = (page) => page.evaluate('mediaStats()');

/** Waits until the page decodes new video frames and hears new sound. */
export async function receives(page, who, { audio = true, video = true, ms = 15_000 } = {}) {
  const start = await stats(page);
  let now = start;
  await until(async () => {
    now = await stats(page);
    const seen = !video || (now.frames >= 5 && (now.frames > start.frames + 4 || now.frames < start.frames));
    const heard = !audio || (now.energy > 0 && now.energy !== start.energy);
    return seen && heard;
  }, `${who} receives media: ${JSON.stringify({ start, now })}`, ms).catch((reason) => {
    throw new Error(`${reason.message}; at the end ${JSON.stringify(now)}`);
  });
  return now;
}
