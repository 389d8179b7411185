import { expect, test } from 'vitest';
import { addProblem, deviceProblem } from './device-problem';

const failure = (name: string) => Object.assign(new Error(name), { name });

test.each([
  ['NotAllowedError', 'denied', 'denied'],
  ['NotFoundError', 'no-camera', 'no-microphone'],
  ['NotReadableError', 'camera-busy', 'microphone-busy'],
])('%s', (name, camera, microphone) => {
  expect(deviceProblem('camera', failure(name))).toBe(camera);
  expect(deviceProblem('microphone', failure(name))).toBe(microphone);
});

test('lists each problem once, camera first', () => {
  expect(addProblem(['no-microphone'], 'no-camera')).toEqual(['no-camera', 'no-microphone']);
  expect(addProblem(['denied'], 'denied')).toEqual(['denied']);
});
