import { expect, test } from 'vitest';
import { formatDuration } from './duration';

test.each([
  [0, '0:00'],
  [-500, '0:00'],
  [61_900, '1:01'],
  [3_599_000, '59:59'],
  [3_600_000, '1:00:00'],
  [36_061_000, '10:01:01'],
])('%i ms is shown as %s', (ms, shown) => {
  expect(formatDuration(ms)).toBe(shown);
});
