// Starts the server under test, or points at a running one, and signs tokens for it.
// Needs nothing but Node itself, so that every suite can use it.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const KEY = 'devkey';
const SECRET = 'secret-secret-secret-secret-secret-1';
const READY_MS = 15_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits for check() to give something true; says what did not happen otherwise. */
export async function until(check, what, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(25);
  }
}

function freeTcpPort() {
  return new Promise((done, fail) => {
    const probe = net.createServer().once('error', fail).listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

function freeUdpPort() {
  return new Promise((done, fail) => {
    const probe = dgram.createSocket('udp4').once('error', fail).bind(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

export class Server {
  constructor(url, key, secret) {
    Object.assign(this, { url, key, secret, http: url.replace(/^ws/, 'http') });
    this.port = Number(new URL(url).port);
  }

  /** A token for `identity`; `grants` adds to the right to join `room`. */
  token(room, identity, grants = {}, more = {}) {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.key, sub: identity, name: identity, nbf: now - 5, exp: now + 600,
      video: { roomJoin: true, room, ...grants }, ...more,
    };
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    return `${body}.${createHmac('sha256', this.secret).update(body).digest('base64url')}`;
  }

  async stop() {
    if (!this.process || this.process.exitCode !== null) return;
    const gone = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGTERM');
    const killer = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(killer);
  }
}

/** Its webhooks go to `hookPort`; the default is the discard port, where nobody listens. */
export async function startServer({ hookPort = 9 } = {}) {
  const { LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET, TRADEWIND_BIN } = process.env;
  if (LIVEKIT_URL) {
    return new Server(LIVEKIT_URL.replace(/\/$/, ''), LIVEKIT_API_KEY ?? KEY, LIVEKIT_API_SECRET ?? SECRET);
  }
  if (!TRADEWIND_BIN) {
    throw new Error('set TRADEWIND_BIN to the server binary, or LIVEKIT_URL to a running one');
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tradewind-test-'));
  const [http, metrics, tcp] = [await freeTcpPort(), await freeTcpPort(), await freeTcpPort()];
  const config = path.join(folder, 'config.yaml');
  fs.writeFileSync(config, `\
http:
  bind: "127.0.0.1:${http}"
rtc:
  udp_port: ${await freeUdpPort()}
  tcp_port: ${tcp}
  advertise: ["${process.env.TRADEWIND_TEST_ADDRESS ?? '127.0.0.1'}"]
  shards: 1
keys:
  ${KEY}: "${SECRET}"
metrics:
  bind: "127.0.0.1:${metrics}"
pages:
  enabled: true
webhook:
  urls: ["http://127.0.0.1:${hookPort}/hook"]
  api_key: ${KEY}
`);
  const log = path.join(folder, 'server.log');
  const out = fs.openSync(log, 'w');
  const server = new Server(`ws://127.0.0.1:${http}`, KEY, SECRET);
  server.process = spawn(TRADEWIND_BIN, ['serve', '--config', config], { stdio: ['ignore', out, out] });
  server.own = true;
  const ready = () => fetch(`http://127.0.0.1:${metrics}/readyz`).then((r) => r.ok, () => false);
  try {
    await until(() => {
      if (server.process.exitCode !== null) throw new Error('the server ended by itself');
      return ready();
    }, 'the server is ready', READY_MS);
  } catch (reason) {
    await server.stop();
    throw new Error(`${reason.message}; its log ends:\n${fs.readFileSync(log, 'utf8').slice(-2000)}`);
  }
  return server;
}

/** A TCP relay in front of the server's signalling port, to be cut. Media does not pass here. */
export class Cable {
  static async lay(port) {
    const cable = new Cable();
    cable.sockets = new Set();
    cable.open = true;
    cable.listener = net.createServer((near) => {
      if (!cable.open) return near.resetAndDestroy();
      const far = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[near, far], [far, near]]) {
        cable.sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => { cable.sockets.delete(from); to.destroy(); });
      }
      return undefined;
    });
    await new Promise((done) => cable.listener.listen(0, '127.0.0.1', done));
    cable.port = cable.listener.address().port;
    return cable;
  }

  /** Breaks every connection; new ones are let through. */
  snap() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Breaks every connection and refuses new ones until mended. */
  cut() {
    this.open = false;
    this.snap();
  }

  mend() {
    this.open = true;
  }

  remove() {
    this.cut();
    this.listener.close();
  }
}
