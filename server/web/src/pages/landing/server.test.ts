import { expect, test } from 'vitest';
import { serverUrl } from './server';
import { snippets } from './snippets';

test('derives the address for SDKs from the page', () => {
  expect(serverUrl({ protocol: 'http:', host: 'localhost:7880' })).toBe('ws://localhost:7880');
  expect(serverUrl({ protocol: 'https:', host: 'shop.example' })).toBe('wss://shop.example');
});

test('puts the address into every program', () => {
  for (const { code } of snippets('wss://shop.example'))
    expect(code).toContain('wss://shop.example');
});
