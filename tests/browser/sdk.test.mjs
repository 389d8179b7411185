// livekit-client in Chromium: what a web application gets from the server.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Cable, sleep, startServer, until } from '../lib/server.mjs';
import { launchChromium, receives, servePage, stats, watchPeers } from './browser.mjs';

let server;
let site;
let browser;
let room;
let contexts;

before(async () => {
  [server, site, browser] = await Promise.all([startServer(), servePage(), launchChromium()]);
});
after(async () => {
  await browser?.close();
  site?.close();
  await server?.stop();
});
beforeEach(() => { room = `sdk-${randomUUID()}`; contexts = []; });
afterEach(() => Promise.all(contexts.map((context) => context.close())));

async function join(identity, { url = server.url, onlyTcp = false, ...how } = {}) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
  contexts.push(context);
  const page = await context.newPage();
  await page.addInitScript(watchPeers, { onlyTcp });
  await page.goto(site.url);
  await page.evaluate((all) => window.join(all), { url, token: server.token(room, identity), ...how });
  return page;
}

const publish = (page, what) => page.evaluate((all) => window.publish(all), what);
const told = (page, event) => page.evaluate((name) => window.told(name), event);
const wide = (page, width, ms = 25_000) =>
  until(async () => (await stats(page)).width === width, `frames ${width} wide`, ms);

async function call(options, connect) {
  const [ann, bob] = [await join('ann', { options, connect }), await join('bob', { options, connect })];
  await Promise.all([publish(ann), publish(bob)]);
  await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
  return [ann, bob];
}

for (const [title, single, peers] of [['one peer connection', true, 1], ['two peer connections', false, 2]]) {
  test(`two browsers meet over ${title}`, { timeout: 60_000 }, async () => {
    const [ann, bob] = await call({ singlePeerConnection: single });
    assert.deepEqual([(await stats(ann)).peers, (await stats(bob)).peers], [peers, peers]);
    const late = await join('late', { options: { singlePeerConnection: single } });
    await receives(late, 'the late joiner');
    assert.equal(await late.evaluate(() => window.cameraOf('ann').isSubscribed && window.cameraOf('bob').isSubscribed), true);
  });

  test(`a resume keeps ${title} alive`, { timeout: 60_000 }, async () => {
    const [ann, bob] = await call({ singlePeerConnection: single });
    const sid = await ann.evaluate(() => window.room.localParticipant.sid);
    await ann.evaluate(() => window.room.simulateScenario('signal-reconnect'));
    await until(async () => await told(ann, 'reconnected') + await told(ann, 'signalReconnecting') >= 2, 'ann is back', 20_000);
    assert.equal(await ann.evaluate(() => window.room.localParticipant.sid), sid);
    assert.equal(await told(bob, 'participantDisconnected'), 0);
    await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
  });

  test(`a full reconnect brings ${title} back`, { timeout: 60_000 }, async () => {
    const [ann, bob] = await call({ singlePeerConnection: single });
    await ann.evaluate(() => { window.room.simulateScenario('full-reconnect'); });
    await until(async () => await told(ann, 'reconnected') >= 1, 'ann is back', 25_000);
    await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
  });

  test(`a cut cable is mended over ${title}`, { timeout: 60_000 }, async () => {
    const cable = await Cable.lay(server.port);
    try {
      const options = { singlePeerConnection: single };
      const ann = await join('ann', { url: `ws://127.0.0.1:${cable.port}`, options });
      const bob = await join('bob', { options });
      await Promise.all([publish(ann), publish(bob)]);
      await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
      cable.cut();
      await until(async () => await told(ann, 'signalReconnecting') + await told(ann, 'reconnecting'), 'ann notices');
      await Promise.all([receives(ann, 'ann without a cable'), receives(bob, 'bob')]);
      cable.mend();
      await until(async () => await told(ann, 'reconnected') >= 1, 'ann is back', 25_000);
      await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
      assert.equal(await told(bob, 'participantDisconnected'), 0);
    } finally {
      cable.remove();
    }
  });
}

for (const codec of ['vp8', 'vp9', 'h264', 'av1']) {
  test(`video in ${codec} passes`, { timeout: 60_000 }, async (context) => {
    const [ann, bob] = [await join('ann'), await join('bob')];
    const able = await ann.evaluate((name) => RTCRtpSender.getCapabilities('video').codecs
      .some(({ mimeType }) => mimeType.toLowerCase() === `video/${name}`), codec);
    if (!able) return context.skip(`this Chromium cannot encode ${codec}`);
    await publish(ann, { audio: false, publish: { videoCodec: codec, backupCodec: false } });
    const got = await receives(bob, 'bob', { audio: false, ms: 20_000 });
    assert.equal(got.codec.toLowerCase(), `video/${codec}`);
    return undefined;
  });
}

test('the subscriber chooses the layer', { timeout: 90_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  await publish(ann, { audio: false, height: 720 });
  await receives(bob, 'bob', { audio: false });
  await wide(bob, 1280);
  await bob.evaluate(() => window.cameraOf('ann').setVideoQuality(LivekitClient.VideoQuality.LOW));
  await wide(bob, 320);
  await bob.evaluate(() => window.cameraOf('ann').setVideoQuality(LivekitClient.VideoQuality.HIGH));
  await wide(bob, 1280);
  await receives(bob, 'bob', { audio: false });
});

test('an adaptive stream follows the size of its picture', { timeout: 90_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob', { options: { adaptiveStream: true } })];
  await publish(ann, { audio: false, height: 720 });
  const size = (width) => bob.evaluate((px) => {
    document.querySelector('video').style.cssText = `width: ${px}px; height: ${(px * 9) / 16}px`;
  }, width);
  await receives(bob, 'bob', { audio: false });
  await size(300);
  await wide(bob, 320);
  await size(1280);
  await wide(bob, 1280);
});

test('layers that nobody watches are not encoded', { timeout: 90_000 }, async () => {
  const [ann, bob] = [await join('ann', { options: { dynacast: true } }), await join('bob')];
  await publish(ann, { audio: false, height: 720 });
  await receives(bob, 'bob', { audio: false });
  await bob.evaluate(() => window.cameraOf('ann').setVideoQuality(LivekitClient.VideoQuality.LOW));
  await until(async () => {
    const { layers } = await stats(ann);
    return layers.q?.active && !layers.h?.active && !layers.f?.active;
  }, 'only the lowest layer is active', 30_000);
  await receives(bob, 'bob', { audio: false });
  await bob.evaluate(() => window.cameraOf('ann').setVideoQuality(LivekitClient.VideoQuality.HIGH));
  await until(async () => (await stats(ann)).layers.f?.active, 'the top layer is active again');
  await wide(bob, 1280);
});

test('a shared screen arrives beside the camera', { timeout: 60_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  await publish(ann, { audio: false });
  await ann.evaluate(() => window.room.localParticipant.setScreenShareEnabled(true, {
    preferCurrentTab: true, selfBrowserSurface: 'include' }));
  await until(() => bob.evaluate(() =>
    window.publication('ann', 'screen_share')?.isSubscribed && window.cameraOf('ann')?.isSubscribed), 'both are subscribed');
  await until(() => bob.evaluate(() => {
    const shown = [...document.querySelectorAll('video')].filter((video) => video.videoWidth > 0);
    return shown.map((video) => video.dataset.of).sort().join() === 'ann camera,ann screen_share';
  }), 'both pictures are shown');
});

test('media passes over TCP alone', { timeout: 60_000 }, async () => {
  const [ann, bob] = [await join('ann', { onlyTcp: true }), await join('bob')];
  await Promise.all([publish(ann), publish(bob)]);
  await Promise.all([receives(ann, 'ann'), receives(bob, 'bob')]);
  assert.deepEqual([(await stats(ann)).protocol, (await stats(bob)).protocol], ['tcp', 'udp']);
});

test('encrypted media passes with the common key only', { timeout: 60_000 }, async () => {
  const [ann, bob] = [await join('ann', { key: 'common' }), await join('bob', { key: 'common' })];
  const eve = await join('eve', { key: 'other' });
  await publish(ann);
  await receives(bob, 'bob');
  assert.equal(await bob.evaluate(() => window.cameraOf('ann').isEncrypted), true);
  await sleep(1500);
  assert.equal((await stats(eve)).frames, 0);
});

test('text, calls and mutes reach the other side', { timeout: 60_000 }, async () => {
  const [ann, bob] = await call({});
  await bob.evaluate(() => {
    window.room.registerTextStreamHandler('chat', async (reader) => { window.text = await reader.readAll(); });
    window.room.registerRpcMethod('shout', async ({ payload }) => payload.toUpperCase());
  });
  await ann.evaluate(() => window.room.localParticipant.sendText('Grüße', { topic: 'chat' }));
  await until(() => bob.evaluate(() => window.text === 'Grüße'), 'the text arrives');
  assert.equal(await ann.evaluate(() => window.room.localParticipant.performRpc(
    { destinationIdentity: 'bob', method: 'shout', payload: 'hi' })), 'HI');
  await ann.evaluate(() => window.room.localParticipant.setCameraEnabled(false));
  await until(() => bob.evaluate(() => window.cameraOf('ann').isMuted), 'bob is told of the mute');
  await ann.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
  await until(() => bob.evaluate(() => !window.cameraOf('ann').isMuted), 'bob is told of the unmute');
  await receives(bob, 'bob');
});
