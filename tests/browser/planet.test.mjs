// The served pages on three nodes of one fleet, as far apart as Tokyo, Paris and Virginia (`make demo`).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep, until } from '../lib/server.mjs';
import { launchChromium, receives } from './browser.mjs';
import { answer, at, openDesk, openShopper, plays, reaches } from './pages.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const START_MS = 60_000;

let demo;
let browser;

/** Runs the demo beside the server's binary; gives the address of each node. */
async function startDemo() {
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

before(async () => { [demo, browser] = await Promise.all([startDemo(), launchChromium()]); });
after(async () => { await browser?.close(); await demo?.end(); });

test('a shopper in Tokyo and an agent in Paris see and hear each other', { timeout: 120_000 }, async () => {
  const shopper = await openShopper(browser, demo.tokyo, 'Hanako');
  const desk = await openDesk(browser, demo.paris);
  await at(shopper, 'call').click();
  await reaches(shopper, 'waiting');
  await answer(desk, 'Hanako');
  await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
  await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
  await Promise.all([plays(shopper, 'remote-video'), plays(desk, 'remote-video')]);
});

test('the call goes on when the node in Tokyo dies', { timeout: 120_000 }, async () => {
  const shopper = await openShopper(browser, demo.tokyo, 'Kenji');
  const desk = await openDesk(browser, demo.paris);
  await at(shopper, 'call').click();
  await answer(desk, 'Kenji');
  await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
  await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
  process.kill(demo.pidInTokyo, 'SIGKILL');
  await sleep(3_000);
  await Promise.all([reaches(shopper, 'connected', 30_000), reaches(desk, 'connected', 30_000)]);
  await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
});
