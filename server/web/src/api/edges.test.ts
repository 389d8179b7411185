import { afterEach, expect, test, vi } from 'vitest';
import { EdgeProbes, least, measureEdges } from './edges';

afterEach(() => vi.unstubAllGlobals());

test('the least of several tries counts, rounded, and never zero', () => {
  expect(least([30.12, 12.34, 90])).toBe(12.3);
  expect(least([0])).toBe(0.1);
});

test('an edge that does not answer is left out and the others are measured', async () => {
  const asked: string[] = [];
  const edges = ['near', 'dead', 'ill'].map((node) => ({
    node,
    region: '',
    probe_url: `https://${node}.test/v1/probe`,
  }));
  vi.stubGlobal('PerformanceResourceTiming', class {});
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url);
    if (url === '/v1/edges') return Promise.resolve(new Response(JSON.stringify({ edges })));
    if (url.includes('dead')) return Promise.reject(new TypeError('no route'));
    return Promise.resolve(new Response(null, { status: url.includes('ill') ? 500 : 204 }));
  });
  const probes = await measureEdges();
  expect(probes.map(({ node, samples }) => [node, samples])).toEqual([['near', 5]]);
  expect(asked.filter((url) => url.includes('dead'))).toHaveLength(1);
});

test('a server without edges is no reason not to call', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('away')));
  expect(await measureEdges()).toEqual([]);
});

test('measurements are made once while they are fresh', async () => {
  let [now, measured] = [0, 0];
  const measure = () => Promise.resolve([{ node: 'a', rtt_ms: ++measured, samples: 1 }]);
  const probes = new EdgeProbes(measure, 1_000, () => now);
  await probes.get();
  now = 1_000;
  expect((await probes.get())[0]?.rtt_ms).toBe(1);
  now = 1_001;
  expect((await probes.get())[0]?.rtt_ms).toBe(2);
});
