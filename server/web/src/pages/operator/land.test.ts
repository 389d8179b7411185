import land from 'virtual:land';
import { expect, test } from 'vitest';
import { MAP_HEIGHT, MAP_WIDTH } from './projection';

test('the outline is small and lies on the map', () => {
  expect(land.length).toBeGreaterThan(5_000);
  expect(land.length).toBeLessThan(40_000);
  for (const [, x, y] of land.matchAll(/(\d+),(\d+)/g)) {
    expect(Number(x)).toBeLessThanOrEqual(MAP_WIDTH);
    expect(Number(y)).toBeLessThanOrEqual(MAP_HEIGHT);
  }
});
