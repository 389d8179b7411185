import type { Call, FleetNode, Overview, Party } from '../../api/overview';
import { type Point, project } from './projection';

/** How far from its node a party is drawn whose place nobody knows, units of the map. */
const NEARBY = 22;

/** One part of the way between the parties of a call. */
export interface Leg {
  key: string;
  from: string;
  to: string;
  /** Round trips in milliseconds. */
  predicted: number | null;
  measured: number | null;
  start: Point | null;
  end: Point | null;
}

/** The ways of a call: each party to its node, and from node to node. */
export function legs(overview: Overview, call: Call): Leg[] {
  const nodes = new Map(overview.nodes.map((node) => [node.id, node]));
  const place = (id: string | undefined) => nodePlace(nodes.get(id ?? ''));
  const present = call.parties.filter((party) => party.state !== 'left' && party.node !== '');
  const access = present.map((party) => ({
    key: `party ${party.identity}`,
    from: partyName(party),
    to: party.node,
    predicted: party.predicted_rtt_ms,
    measured: party.measured_rtt_ms,
    start: partyPlace(party, nodes),
    end: place(party.node),
  }));
  const route = call.placement?.nodes ?? [];
  const hops = route.slice(1).map((to, index) => {
    const from = route[index] ?? '';
    const link = overview.links.find((one) => one.from === from && one.to === to);
    return {
      key: `link ${from} ${to}`,
      from,
      to,
      predicted: route.length === 2 ? (call.placement?.link_rtt_ms ?? null) : null,
      measured: link?.rtt_ms ?? null,
      start: place(from),
      end: place(to),
    };
  });
  return [...access, ...hops];
}

/** Where a node is on the map. */
export function nodePlace(node: FleetNode | undefined): Point | null {
  return node === undefined ? null : project(node.latitude, node.longitude);
}

/** Where a party is on the map: its place, or else beside its node. */
export function partyPlace(party: Party, nodes: Map<string, FleetNode>): Point | null {
  if (party.latitude !== null && party.longitude !== null) {
    return project(party.latitude, party.longitude);
  }
  const node = nodePlace(nodes.get(party.node));
  if (node === null) return null;
  const angle = direction(party.identity);
  return { x: node.x + NEARBY * Math.cos(angle), y: node.y + NEARBY * Math.sin(angle) };
}

export function partyName(party: Party): string {
  return party.name === '' ? party.identity : party.name;
}

/** By how much a measurement differs from its prediction: `+8 %`; empty if there is nothing to compare. */
export function difference(predicted: number | null, measured: number | null): string {
  if (predicted === null || measured === null || predicted <= 0) return '';
  const percent = Math.round((measured / predicted - 1) * 100);
  return `${percent > 0 ? '+' : ''}${percent}\u00a0%`;
}

/** Milliseconds for people; a dash for what is not known. */
export function milliseconds(value: number | null): string {
  if (value === null) return '–';
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** The same direction for the same name, radians. */
function direction(name: string): number {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 3600;
  return (hash / 3600) * 2 * Math.PI;
}
