import land from 'virtual:land';
import { expect, test } from 'vitest';
import { MAP_HEIGHT, MAP_WIDTH } from './projection';

test('no line runs across the map where land crosses the date line', () => {
  for (const piece of land.split('z')) {
    const xs = [...piece.matchAll(/(\d+),/g)].map(([, x]) => Number(x));
    for (const [index, x] of xs.slice(1).entries()) {
      expect(Math.abs(x - (xs[index] ?? 0))).toBeLessThan(MAP_WIDTH / 4);
    }
  }
});

test('the outline is small and lies on the map', () => {
  expect(land.length).toBeGreaterThan(5_000);
  expect(land.length).toBeLessThan(40_000);
  for (const [, x, y] of land.matchAll(/(\d+),(\d+)/g)) {
    expect(Number(x)).toBeLessThanOrEqual(MAP_WIDTH);
    expect(Number(y)).toBeLessThanOrEqual(MAP_HEIGHT);
  }
});
