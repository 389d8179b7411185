import { expect, test } from 'vitest';
import { backOff } from './back-off';

test('doubles up to a limit', () => {
  const longest = () => 1;
  expect([0, 1, 2, 3, 4, 5, 99].map((attempt) => backOff(attempt, longest))).toEqual([
    500, 1000, 2000, 4000, 8000, 10_000, 10_000,
  ]);
});

test('keeps at least half of the delay', () => {
  expect(backOff(3, () => 0)).toBe(2000);
});
