// The three nodes of `make demo`, for tests and pictures.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../lib/server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const START_MS = 60_000;

/** Runs the demo beside the server's binary; gives the address of each node. */
export async function startDemo() {
  const python = process.env.TRADEWIND_TEST_PYTHON ?? 'python3';
  const child = spawn(python, [path.join(here, '../planet/demo.py'), path.dirname(process.env.TRADEWIND_BIN)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (bytes) => { text += bytes; });
  const url = (label, page) => new RegExp(`${label}\\s+(http\\S+)/${page}`).exec(text)?.[1];
  await until(() => child.exitCode !== null || url('Live calls', 'operator'), 'the fleet is up', START_MS);
  assert.equal(child.exitCode, null, 'the demo ended');
  return {
    tokyo: { http: url('Shopper in Tokyo', 'call') },
    paris: { http: url('Agent in Paris', 'desk') },
    virginia: { http: url('Live calls', 'operator') },
    pidInTokyo: Number(/kill -9 (\d+)/.exec(text)[1]),
    end: () => new Promise((done) => { child.once('exit', done); child.kill('SIGTERM'); }),
  };
}
