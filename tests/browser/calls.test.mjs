// A shopper calls, an agent answers: the served pages as people use them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Cable, startServer, until } from '../lib/server.mjs';
import { launchChromium, receives } from './browser.mjs';
import { answer, at, connected, openDesk, openShopper, phaseOf, picture, plays, reaches } from './pages.mjs';

let server;
let browser;
let name;

before(async () => { [server, browser] = await Promise.all([startServer(), launchChromium()]); });
after(async () => { await browser?.close(); await server?.stop(); });
beforeEach(() => { name = `Zoe ${randomUUID().slice(0, 8)}`; });
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));

const received = (page, text) => at(page, 'chat-message').filter({ hasText: text }).waitFor({ timeout: 10_000 });

async function say(page, text) {
  await at(page, 'chat-input').fill(text);
  await at(page, 'chat-send').click();
}

test('a shopper calls, an agent answers, both see and hear each other', { timeout: 90_000 }, async () => {
  const shopper = await openShopper(browser, server, name);
  assert.equal(await phaseOf(shopper), 'idle');
  await plays(shopper, 'preview');
  assert.ok(await at(shopper, 'camera-select').locator('option').count() > 0);
  assert.ok(await at(shopper, 'microphone-select').locator('option').count() > 0);
  const desk = await openDesk(browser, server);
  await at(shopper, 'call').click();
  await reaches(shopper, 'waiting');
  await answer(desk, name);
  await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
  await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
  await Promise.all([plays(shopper, 'remote-video'), plays(desk, 'remote-video'), plays(shopper, 'local-video')]);
  await until(() => at(shopper, 'quality').first().getAttribute('data-quality'), 'the quality is shown');
});

test('chat passes both ways', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await say(shopper, 'Is it in stock?');
  await received(desk, 'Is it in stock?');
  await say(desk, 'はい、あります');
  await received(shopper, 'はい、あります');
  assert.deepEqual(await at(shopper, 'chat-message').evaluateAll((all) => all.length), 2);
});

test('a photo arrives in its own size', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await at(shopper, 'photo-input').setInputFiles(await picture(shopper, 321, 123));
  const photo = at(desk, 'chat-photo');
  await photo.waitFor({ timeout: 15_000 });
  await until(() => photo.evaluate((image) => image.complete && image.naturalWidth > 0), 'the photo is shown');
  assert.deepEqual(await photo.evaluate((image) => [image.naturalWidth, image.naturalHeight]), [321, 123]);
});

test('a mute shows on the other side', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  const open = () => desk.evaluate(() =>
    [...window.__tradewind.room.remoteParticipants.values()].some((one) => one.isMicrophoneEnabled));
  await until(open, 'the microphone is on');
  await at(shopper, 'mute').click();
  await until(async () => !await open(), 'the desk knows of the mute');
  await desk.getByText(/muted/i).first().waitFor({ timeout: 5_000 });
  await at(shopper, 'mute').click();
  await until(open, 'the microphone is on again');
  await receives(desk, 'the agent');
});

test('a camera turned off and on again is seen again', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await plays(desk, 'remote-video');
  const on = () => desk.evaluate(() =>
    [...window.__tradewind.room.remoteParticipants.values()].some((one) => one.isCameraEnabled));
  await at(shopper, 'camera-toggle').click();
  await until(async () => !await on(), 'the desk knows');
  await at(shopper, 'camera-toggle').click();
  await until(on, 'the camera is on again');
  await plays(desk, 'remote-video');
});

test('a shared screen is shown on the other side', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await at(desk, 'share-screen').click();
  await until(() => shopper.evaluate(() =>
    [...window.__tradewind.room.remoteParticipants.values()].some((one) => one.isScreenShareEnabled)), 'it is shared');
});

test('a reloaded shopper page returns to its call', { timeout: 90_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await shopper.reload();
  await reaches(shopper, 'connected', 30_000);
  await reaches(desk, 'connected', 30_000);
  await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
});

test('a broken line is mended by itself', { timeout: 90_000 }, async () => {
  const cable = await Cable.lay(server.port);
  try {
    const { shopper, desk } = await connected(browser, server, name, { cable });
    cable.cut();
    await reaches(shopper, 'reconnecting');
    cable.mend();
    await reaches(shopper, 'connected', 30_000);
    await Promise.all([receives(shopper, 'the shopper'), receives(desk, 'the agent')]);
    await say(shopper, 'still here');
    await received(desk, 'still here');
  } finally {
    cable.remove();
  }
});

test('hanging up ends the call on the other side', { timeout: 60_000 }, async () => {
  const { shopper, desk } = await connected(browser, server, name);
  await at(shopper, 'hang-up').click();
  await reaches(shopper, ['ended', 'idle']);
  await reaches(desk, ['ended', 'idle']);
});

test('a refused camera is explained', { timeout: 40_000 }, async () => {
  const strict = await launchChromium({ refuseDevices: true });
  try {
    const page = await openShopper(strict, server, name, { devices: false });
    await reaches(page, 'error');
    assert.ok((await at(page, 'status').first().innerText()).trim().length > 10, 'the reason is told in words');
  } finally {
    await strict.close();
  }
});

test('a server that is away is explained', { timeout: 40_000 }, async () => {
  const page = await openShopper(browser, server, name);
  await page.context().route('**/v1/**', (route) => route.abort('connectionrefused'));
  await at(page, 'call').click();
  await reaches(page, 'error');
  assert.ok((await at(page, 'status').first().innerText()).trim().length > 10, 'the reason is told in words');
});
