import { expect, test } from 'vitest';
import { arc, MAP_HEIGHT, MAP_WIDTH, project } from './projection';

test('the corners of the map are where they belong', () => {
  expect(project(84, -180)).toEqual({ x: 0, y: 0 });
  expect(project(-60, 180)).toEqual({ x: MAP_WIDTH, y: MAP_HEIGHT });
});

test('what lies beyond the edge is drawn on it', () => {
  expect(project(90, 0).y).toBe(0);
  expect(project(-90, 0).y).toBe(MAP_HEIGHT);
});

test('a line starts and ends where it should', () => {
  const path = arc({ x: 1, y: 2 }, { x: 11, y: 2 });
  expect(path.startsWith('M1,2Q')).toBe(true);
  expect(path.endsWith(' 11,2')).toBe(true);
});
