// The server's own interface through the Node server library (JSON bodies), and webhooks.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { DisconnectReason, dispose } from '@livekit/rtc-node';
import { DataPacket_Kind, RoomServiceClient, TwirpError, WebhookReceiver } from 'livekit-server-sdk';
import { startServer, until } from '../lib/server.mjs';
import { Peer } from './peer.mjs';

const hookPort = Number(process.env.TRADEWIND_HOOK_PORT ?? 0);
const posts = [];
let hooks;
let server;
let rooms;
let room;

before(async () => {
  hooks = http.createServer(async (request, reply) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    posts.push({ body, auth: request.headers.authorization });
    reply.end();
  });
  await new Promise((done) => hooks.listen(hookPort, '127.0.0.1', done));
  server = await startServer({ hookPort: hooks.address().port });
  rooms = new RoomServiceClient(server.http, server.key, server.secret);
});
after(async () => {
  await server?.stop();
  hooks.closeAllConnections();
  hooks.close();
  await dispose();
});
beforeEach(() => { room = `service-${randomUUID()}`; });

test('a room is made, listed, described and deleted', { timeout: 20_000 }, async () => {
  const made = await rooms.createRoom({ name: room, emptyTimeout: 60, maxParticipants: 5, metadata: 'm' });
  assert.match(made.sid, /^RM_/);
  assert.deepEqual([made.name, made.emptyTimeout, made.maxParticipants, made.metadata], [room, 60, 5, 'm']);
  assert.equal(typeof made.creationTime, 'bigint');
  assert.deepEqual((await rooms.listRooms([room])).map((r) => r.sid), [made.sid]);
  assert.equal((await rooms.updateRoomMetadata(room, 'n')).metadata, 'n');
  await rooms.deleteRoom(room);
  assert.deepEqual(await rooms.listRooms([room]), []);
});

test('participants are listed, changed, muted, sent data and removed', { timeout: 30_000 }, async () => {
  const ann = await new Peer(server, room, 'ann').connect();
  const { sid } = await ann.speak(440);
  await until(async () => (await rooms.getParticipant(room, 'ann')).tracks.length === 1, 'the track is listed');
  assert.deepEqual((await rooms.listParticipants(room)).map((p) => p.identity), ['ann']);
  const changed = await rooms.updateParticipant(room, 'ann', { metadata: 'x', attributes: { seat: '4' } });
  assert.deepEqual([changed.metadata, changed.attributes.seat], ['x', '4']);
  assert.equal((await rooms.mutePublishedTrack(room, 'ann', sid, true)).muted, true);
  await rooms.sendData(room, new TextEncoder().encode('hello'), DataPacket_Kind.RELIABLE, { topic: 'news' });
  await until(() => ann.data.length, 'the data arrives');
  assert.deepEqual([ann.data[0].text, ann.data[0].topic], ['hello', 'news']);
  await rooms.removeParticipant(room, 'ann');
  const told = await until(() => ann.told.find(([event]) => event === 'disconnected'), 'ann is out');
  assert.equal(told[1], DisconnectReason.PARTICIPANT_REMOVED);
  ann.busy = false;
});

test('errors carry their code and status', { timeout: 20_000 }, async () => {
  await assert.rejects(rooms.getParticipant('no-such-room', 'nobody'),
    (error) => error instanceof TwirpError && error.code === 'not_found' && error.status === 404);
  const stranger = new RoomServiceClient(server.http, server.key, `${server.secret}x`);
  await assert.rejects(stranger.listRooms(),
    (error) => error instanceof TwirpError && error.status === 401);
});

test('webhooks are signed and in order', { timeout: 30_000 }, async (context) => {
  if (!server.own && !hookPort) {
    context.diagnostic('a running server needs TRADEWIND_HOOK_PORT');
    assert.fail('no port for webhooks');
  }
  const ann = await new Peer(server, room, 'ann').connect();
  const receiver = new WebhookReceiver(server.key, server.secret);
  const told = async () => {
    const mine = posts.filter(({ body }) => JSON.parse(body).room?.name === room);
    return Promise.all(mine.map(({ body, auth }) => receiver.receive(body, auth)));
  };
  await until(async () => (await told()).length === 2, 'the joining is told');
  await ann.leave();
  await until(async () => (await told()).length === 3, 'the leaving is told');
  await rooms.deleteRoom(room).catch(() => {});
  await until(async () => (await told()).length === 4, 'the end is told');
  const events = await told();
  assert.deepEqual(events.map((event) => event.event),
    ['room_started', 'participant_joined', 'participant_left', 'room_finished']);
  assert.equal(events[1].participant.identity, 'ann');
  const { body, auth } = posts.find((post) => JSON.parse(post.body).room?.name === room);
  await assert.rejects(receiver.receive(body.replace('room_started', 'room_stopped'), auth));
});
