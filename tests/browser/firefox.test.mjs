// livekit-client in Firefox, with another Firefox and with Chromium on the other side.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { startServer, until } from '../lib/server.mjs';
import { launchChromium, receives, servePage, stats, watchPeers } from './browser.mjs';

const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.getusermedia.insecure.enabled': true,
};

let server;
let site;
let firefox;
let chromium;
let room;
let pages;

before(async () => {
  [server, site, chromium, firefox] = await Promise.all([
    startServer(), servePage(), launchChromium(), puppeteer.launch({
      browser: 'firefox', protocol: 'webDriverBiDi', headless: true,
      executablePath: process.env.TRADEWIND_FIREFOX ?? '/usr/bin/firefox-esr',
      extraPrefsFirefox: PREFERENCES,
    })]);
});
after(async () => {
  await Promise.all([firefox?.close(), chromium?.close()]);
  site?.close();
  await server?.stop();
});
beforeEach(() => { room = `firefox-${randomUUID()}`; pages = []; });
afterEach(() => Promise.all(pages.map((page) => page.close())));

async function open(browser, identity, single) {
  const page = await browser.newPage();
  pages.push(page);
  const isFirefox = browser === firefox;
  await (isFirefox ? page.evaluateOnNewDocument(watchPeers, {}) : page.addInitScript(watchPeers, {}));
  await page.goto(site.url);
  const how = { url: server.url, token: server.token(room, identity), options: { singlePeerConnection: single } };
  await page.evaluate((all) => window.join(all), how);
  await page.evaluate(() => window.publish());
  return page;
}

async function talk(one, other, single) {
  const ann = await open(one, 'ann', single);
  const bob = await open(other, 'bob', single);
  await Promise.all([receives(ann, 'ann', { ms: 25_000 }), receives(bob, 'bob', { ms: 25_000 })]);
  return [ann, bob];
}

for (const [title, single] of [['one peer connection', true], ['two peer connections', false]]) {
  test(`Firefox and Chromium meet over ${title}`, { timeout: 90_000 }, async () => {
    const [ann] = await talk(firefox, chromium, single);
    assert.match(await ann.evaluate(() => navigator.userAgent), /Firefox/);
    assert.equal((await stats(ann)).peers, single ? 1 : 2);
  });

  test(`two Firefoxes meet over ${title}`, { timeout: 90_000 }, () => talk(firefox, firefox, single));
}

test('Firefox gets what was published before it came, and data', { timeout: 90_000 }, async () => {
  const ann = await open(chromium, 'ann', true);
  await until(async () => Object.values((await stats(ann)).layers).some(({ frames }) => frames > 10), 'ann sends');
  const bob = await open(firefox, 'bob', true);
  await Promise.all([receives(bob, 'bob', { ms: 25_000 }), receives(ann, 'ann', { ms: 25_000 })]);
  await bob.evaluate(() => {
    window.room.registerTextStreamHandler('chat', async (reader) => { window.text = await reader.readAll(); });
  });
  await ann.evaluate(() => window.room.localParticipant.sendText('Grüße', { topic: 'chat' }));
  await until(() => bob.evaluate(() => window.text === 'Grüße'), 'the text arrives');
});

test('Firefox comes back after a full reconnect', { timeout: 90_000 }, async () => {
  const [ann, bob] = await talk(firefox, chromium, true);
  await ann.evaluate(() => { window.room.simulateScenario('full-reconnect'); });
  await until(() => ann.evaluate(() => window.told('reconnected') >= 1), 'ann is back', 25_000);
  await Promise.all([receives(ann, 'ann', { ms: 25_000 }), receives(bob, 'bob', { ms: 25_000 })]);
});

test('Firefox resumes after a broken signalling connection', { timeout: 90_000 }, async () => {
  const [ann, bob] = await talk(firefox, chromium, true);
  await ann.evaluate(() => { window.room.simulateScenario('signal-reconnect'); });
  await until(() => ann.evaluate(() => window.told('reconnected') >= 1), 'ann is back', 25_000);
  await Promise.all([receives(ann, 'ann', { ms: 25_000 }), receives(bob, 'bob', { ms: 25_000 })]);
});
