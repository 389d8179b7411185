import { expect, test } from 'vitest';
import { fitWithin, isPhotoType, preparePhoto } from './photo';

test('scales down, never up', () => {
  expect(fitWithin(4000, 3000, 1920)).toEqual({ width: 1920, height: 1440 });
  expect(fitWithin(300, 900, 1920)).toEqual({ width: 300, height: 900 });
});

test('takes photos only', async () => {
  expect(isPhotoType('image/jpeg')).toBe(true);
  expect(isPhotoType('image/svg+xml')).toBe(false);
  await expect(
    preparePhoto(new File(['<svg/>'], 'a.svg', { type: 'image/svg+xml' })),
  ).rejects.toThrow();
});

test('sends a small photo as it is', async () => {
  const file = new File(['small'], 'a.png', { type: 'image/png' });
  expect(await preparePhoto(file)).toBe(file);
});
