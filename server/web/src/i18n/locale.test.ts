import { expect, test } from 'vitest';
import { en } from './en';
import { fr } from './fr';
import { ja } from './ja';
import { fill, pickCallLanguage, pickLocale } from './locale';

test('picks the first language with a dictionary', () => {
  expect(pickLocale(['de-AT', 'fr-CA', 'en'])).toBe('fr');
  expect(pickLocale(['JA'])).toBe('ja');
  expect(pickLocale(['sw'])).toBe('en');
  expect(pickLocale([])).toBe('en');
});

test('picks a call language without a dictionary too', () => {
  expect(pickCallLanguage(['sw', 'de-AT', 'fr'])).toBe('de');
  expect(pickCallLanguage([])).toBe('en');
});

test('fills places, and leaves unknown ones readable', () => {
  expect(fill('Answer {name}', { name: 'Yuki' })).toBe('Answer Yuki');
  expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}');
});

test.each([
  ['ja', ja],
  ['fr', fr],
])('every message of %s is written, with the places of the English one', (_, messages) => {
  const places = (message: string) => message.match(/\{\w+\}/g)?.sort() ?? [];
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    expect(messages[key], key).not.toBe('');
    expect(places(messages[key]), key).toEqual(places(en[key]));
  }
});
