import { expect, test } from 'vitest';
import { parseRetryAfter, requestError } from './problem';

test('reads a problem document', async () => {
  const body = JSON.stringify({ type: 'about:blank', title: 'Too Many Requests', detail: 'Wait.' });
  const response = new Response(body, { status: 429, headers: { 'retry-after': '12' } });
  expect(await requestError(response)).toMatchObject({
    status: 429,
    detail: 'Wait.',
    retryAfterSeconds: 12,
  });
});

test('falls back to the title, and to nothing for a foreign page', async () => {
  const titled = new Response('{"title":"Conflict"}', { status: 409 });
  expect((await requestError(titled)).detail).toBe('Conflict');
  const foreign = new Response('<h1>Bad gateway</h1>', { status: 502 });
  expect(await requestError(foreign)).toMatchObject({ status: 502, detail: '' });
});

test('reads seconds and dates of Retry-After', () => {
  const now = Date.parse('2030-01-01T00:00:00Z');
  expect(parseRetryAfter('7', now)).toBe(7);
  expect(parseRetryAfter('Tue, 01 Jan 2030 00:00:30 GMT', now)).toBe(30);
  expect(parseRetryAfter('soon', now)).toBeNull();
  expect(parseRetryAfter(null, now)).toBeNull();
});
