// Clients of the Node library in a room.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { DisconnectReason, RpcError, dispose } from '@livekit/rtc-node';
import { startServer, until } from '../lib/server.mjs';
import { Peer } from './peer.mjs';

const RED = [200, 30, 30];
const BLUE = [40, 60, 210];
let server;
let room;
let peers;

before(async () => { server = await startServer(); });
after(async () => { await server?.stop(); await dispose(); });
beforeEach(() => { room = `node-${randomUUID()}`; peers = []; });
afterEach(() => Promise.all(peers.map((peer) => peer.leave())));

async function join(identity, grants) {
  const peer = new Peer(server, room, identity);
  peers.push(peer);
  return peer.connect(grants);
}

test('two participants hear and see each other', { timeout: 40_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  await Promise.all([ann.speak(440), ann.show(RED), bob.speak(880), bob.show(BLUE)]);
  await Promise.all([
    bob.hears('ann', 440), bob.sees('ann', RED), ann.hears('bob', 880), ann.sees('bob', BLUE)]);
});

test('data arrives with topic and sender, and only where it is sent', { timeout: 20_000 }, async () => {
  const [ann, bob, eve] = [await join('ann'), await join('bob'), await join('eve')];
  const bytes = (text) => new TextEncoder().encode(text);
  await ann.room.localParticipant.publishData(bytes('to bob'), {
    reliable: true, topic: 'note', destination_identities: ['bob'] });
  await ann.room.localParticipant.publishData(bytes('to all'), { reliable: true });
  await until(() => bob.data.length === 2 && eve.data.length === 1, 'the packets arrive');
  assert.deepEqual(bob.data.map(({ text, from, topic }) => [text, from, topic ?? '']),
    [['to bob', 'ann', 'note'], ['to all', 'ann', '']]);
  assert.equal(eve.data[0].text, 'to all');
});

test('a call is answered, and a failing one brings its error', { timeout: 20_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  bob.room.localParticipant.registerRpcMethod('shout', async (call) => call.payload.toUpperCase());
  bob.room.localParticipant.registerRpcMethod('refuse', async () => {
    throw new RpcError(1234, 'will not');
  });
  const call = (method, payload) =>
    ann.room.localParticipant.performRpc({ destinationIdentity: 'bob', method, payload });
  assert.equal(await call('shout', 'hi'), 'HI');
  await assert.rejects(call('refuse', ''), (error) => error.code === 1234);
});

test('a text stream arrives whole', { timeout: 20_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  const got = new Promise((done) => {
    bob.room.registerTextStreamHandler('chat', async (reader, from) => {
      done([from.identity, await reader.readAll()]);
    });
  });
  const text = `Grüße ${'x'.repeat(40_000)}`;
  await ann.room.localParticipant.sendText(text, { topic: 'chat' });
  assert.deepEqual(await got, ['ann', text]);
});

test('the same identity throws the first one out', { timeout: 20_000 }, async () => {
  const first = await join('ann');
  await join('ann');
  const told = await until(() => first.told.find(([event]) => event === 'disconnected'), 'first is out');
  assert.equal(told[1], DisconnectReason.DUPLICATE_IDENTITY);
});

test('an unpublished track goes away', { timeout: 20_000 }, async () => {
  const [ann, bob] = [await join('ann'), await join('bob')];
  const publication = await ann.speak(440);
  await bob.hears('ann', 440);
  await ann.room.localParticipant.unpublishTrack(publication.sid);
  await until(() => bob.told.find(([event]) => event === 'trackUnpublished'), 'bob is told');
  assert.equal(bob.room.remoteParticipants.get('ann').trackPublications.size, 0);
});
