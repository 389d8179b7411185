import { DisconnectReason } from 'livekit-client';
import { expect, test } from 'vitest';
import { readDisconnect } from './disconnect';

test.each([
  [DisconnectReason.CLIENT_INITIATED, 'page-left'],
  [DisconnectReason.ROOM_DELETED, { end: 'peer-left' }],
  [DisconnectReason.PARTICIPANT_REMOVED, { end: 'removed' }],
  [DisconnectReason.DUPLICATE_IDENTITY, { end: 'opened-elsewhere' }],
  [DisconnectReason.MEDIA_FAILURE, { failure: 'media-blocked' }],
  [DisconnectReason.SERVER_SHUTDOWN, { failure: 'server-away' }],
  [undefined, { failure: 'server-away' }],
])('reason %s', (reason, disconnect) => {
  expect(readDisconnect(reason)).toEqual(disconnect);
});
