/** A node to measure, as `GET /v1/edges` lists it. */
export interface Edge {
  node: string;
  region: string;
  probe_url: string;
}

/** The least round trip to a node, as the call API takes it. */
export interface Probe {
  node: string;
  rtt_ms: number;
  samples: number;
}

/** Tries for each edge, the first of which only opens the connection. */
const TRIES = 6;
/** Edges measured at a time: enough to be quick, too few to slow each other down. */
const AT_A_TIME = 4;
/** Edges measured at all. */
const MAX_EDGES = 24;
/** What is not measured by then is left out. */
const DEADLINE_MS = 4_000;

/** Measures the round trip to every edge; whatever goes wrong, calls are possible without. */
export async function measureEdges(): Promise<Probe[]> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const edges = await listEdges(deadline).catch(() => []);
  const probes: Probe[] = [];
  const queue = edges.slice(0, MAX_EDGES);
  const worker = async () => {
    for (let edge = queue.shift(); edge !== undefined; edge = queue.shift()) {
      const samples = await roundTrips(edge.probe_url, deadline);
      if (samples.length > 0) {
        probes.push({ node: edge.node, rtt_ms: least(samples), samples: samples.length });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return probes;
}

async function listEdges(signal: AbortSignal): Promise<Edge[]> {
  const response = await fetch('/v1/edges', { signal, cache: 'no-store' });
  return response.ok ? ((await response.json()) as { edges: Edge[] }).edges : [];
}

/** Round trips on one kept connection, milliseconds; none if the edge does not answer. */
async function roundTrips(url: string, signal: AbortSignal): Promise<number[]> {
  const samples: number[] = [];
  for (let attempt = 0; attempt < TRIES; attempt++) {
    // A name of its own finds the browser's own timing of this request.
    const address = `${url}?${attempt}`;
    const start = performance.now();
    try {
      const response = await fetch(address, { signal, cache: 'no-store', credentials: 'omit' });
      if (!response.ok) break;
    } catch {
      break;
    }
    const elapsed = performance.now() - start;
    if (attempt > 0) samples.push(requestTime(address) ?? elapsed);
  }
  return samples;
}

/** Time from request to answer by the browser's clock, without the waiting of this page's scripts. */
function requestTime(address: string): number | null {
  const entry = performance.getEntriesByName(address, 'resource').at(-1);
  if (!(entry instanceof PerformanceResourceTiming) || entry.requestStart === 0) return null;
  const time = entry.responseStart - entry.requestStart;
  return time > 0 ? time : null;
}

/** Queues only ever add, so the least of several tries is nearest to the truth. */
export function least(samples: number[]): number {
  return Math.max(0.1, Math.round(Math.min(...samples) * 10) / 10);
}

/** Measurements that are made ahead and used while they are fresh. */
export class EdgeProbes {
  private measured: Promise<Probe[]> | null = null;
  private at = 0;

  constructor(
    private readonly measure: () => Promise<Probe[]> = measureEdges,
    private readonly freshMs = 5 * 60_000,
    private readonly now: () => number = Date.now,
  ) {}

  /** The measurements, begun now unless fresh ones are at hand. */
  get(): Promise<Probe[]> {
    if (this.measured === null || this.now() - this.at > this.freshMs) {
      this.at = this.now();
      this.measured = this.measure().catch(() => []);
    }
    return this.measured;
  }
}
