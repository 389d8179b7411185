// The served pages on three nodes of one fleet, as far apart as Tokyo, Paris and Virginia (`make demo`).

import { after, before, test } from 'node:test';
import { sleep } from '../lib/server.mjs';
import { launchChromium, receives } from './browser.mjs';
import { answer, at, openDesk, openShopper, plays, reaches } from './pages.mjs';
import { startDemo } from './planet.mjs';

let demo;
let browser;

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
