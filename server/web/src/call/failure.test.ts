import { ConnectionError } from 'livekit-client';
import { expect, test } from 'vitest';
import { RequestError } from '../api/problem';
import { failureOf } from './failure';

test.each([
  [0, 'server-away'],
  [400, 'refused'],
  [401, 'unauthorized'],
  [404, 'call-gone'],
  [409, 'already-answered'],
  [429, 'rate-limited'],
  [502, 'server-away'],
  [503, 'unavailable'],
])('status %i is the failure %s', (status, code) => {
  expect(failureOf(new RequestError(status, 'why', 3))).toEqual({
    code,
    detail: 'why',
    retryAfterSeconds: 3,
  });
});

test('tells a refused token from an unreachable server and blocked media', () => {
  expect(failureOf(ConnectionError.notAllowed('no', 401)).code).toBe('call-gone');
  expect(failureOf(ConnectionError.serverUnreachable('no')).code).toBe('server-away');
  expect(failureOf(ConnectionError.timeout('signal')).code).toBe('server-away');
  const blocked = ConnectionError.internal('could not establish pc connection');
  expect(failureOf(blocked).code).toBe('media-blocked');
});
