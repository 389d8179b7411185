import { expect, test } from 'vitest';
import type { Call, Overview, Party } from '../../api/overview';
import { difference, legs, milliseconds } from './legs';

function node(id: string, latitude: number, longitude: number) {
  const load = { healthy: true, draining: false, parties: 1, capacity: 100 };
  return { id, region: '', latitude, longitude, ...load };
}

function party(identity: string, changes: Partial<Party>): Party {
  return {
    identity,
    role: 'shopper',
    name: '',
    region: '',
    latitude: null,
    longitude: null,
    state: 'here',
    node: 'tokyo',
    predicted_rtt_ms: 20,
    measured_rtt_ms: null,
    ...changes,
  };
}

const call: Call = {
  id: 'CL_a',
  state: 'answered',
  created_at_ms: 0,
  language: 'ja',
  scenario: '',
  tenant: '',
  parties: [
    party('yuki', { name: 'Yuki', latitude: 43, longitude: 141 }),
    party('aline', { node: 'paris', measured_rtt_ms: 11 }),
    party('gone', { state: 'left' }),
  ],
  placement: {
    nodes: ['tokyo', 'paris'],
    standby: [],
    link_rtt_ms: 210,
    predicted_ms: 125,
    measured_ms: null,
  },
};

const overview: Overview = {
  node: 'tokyo',
  now_ms: 0,
  nodes: [node('tokyo', 36, 140), node('paris', 49, 2)],
  links: [{ from: 'tokyo', to: 'paris', rtt_ms: 214, loss: 0, up: true }],
  calls: [call],
};

test('a call has a leg for each party who is there and one for each link', () => {
  const rows = legs(overview, call).map(({ from, to, predicted, measured }) => [
    from,
    to,
    predicted,
    measured,
  ]);
  expect(rows).toEqual([
    ['Yuki', 'tokyo', 20, null],
    ['aline', 'paris', 20, 11],
    ['tokyo', 'paris', 210, 214],
  ]);
});

test('a party whose place nobody knows is drawn beside its node, always in the same spot', () => {
  const start = legs(overview, call)[1]?.start;
  expect(start).not.toEqual(legs(overview, call)[1]?.end);
  expect(start).toEqual(legs(overview, call)[1]?.start);
});

test('a node that has left the fleet has no place', () => {
  expect(legs({ ...overview, nodes: [] }, call).every((leg) => leg.end === null)).toBe(true);
});

test('measurements are compared with predictions', () => {
  expect(difference(100, 108)).toBe('+8\u00a0%');
  expect(difference(100, 92)).toBe('-8\u00a0%');
  expect(difference(null, 92)).toBe('');
  expect([milliseconds(null), milliseconds(3.14), milliseconds(214.4)]).toEqual([
    '–',
    '3.1 ms',
    '214 ms',
  ]);
});
