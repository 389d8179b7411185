import { expect, test } from 'vitest';
import { loudness } from './level';

test('silence is nothing and a loud voice is full', () => {
  expect(loudness(new Float32Array(64))).toBe(0);
  expect(loudness(new Float32Array(64).fill(0.5))).toBe(1);
});

test('grows with the sound', () => {
  const quiet = loudness(new Float32Array(64).fill(0.01));
  const normal = loudness(new Float32Array(64).fill(0.1));
  expect(quiet).toBeGreaterThan(0);
  expect(normal).toBeGreaterThan(quiet);
});
