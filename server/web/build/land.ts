import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Plugin } from 'vite';
import { MAP_WIDTH, type Point, project } from '../src/pages/operator/projection.ts';

const NAME = 'virtual:land';

interface Topology {
  transform: { scale: [number, number]; translate: [number, number] };
  arcs: [number, number][][];
  objects: { land: { geometries: { arcs: number[][][] }[] } };
}

/**
 * The outline of the land as SVG path data, made when the pages are built. It comes from Natural Earth (public domain,
 * naturalearthdata.com) as the package world-atlas (ISC) holds it.
 */
export function land(): Plugin {
  return {
    name: 'land',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => {
      if (id !== `\0${NAME}`) return undefined;
      const file = createRequire(import.meta.url).resolve('world-atlas/land-110m.json');
      const path = outline(JSON.parse(readFileSync(file, 'utf8')) as Topology);
      return `export default ${JSON.stringify(path)};`;
    },
  };
}

/** Path data of all rings, in whole units of the map. */
export function outline(topology: Topology): string {
  const arcs = topology.arcs.map((arc) => decode(arc, topology.transform));
  const polygons = topology.objects.land.geometries.flatMap((geometry) => geometry.arcs);
  return polygons
    .flat()
    .map((ring) => ringPath(ring.flatMap((arc) => points(arcs, arc))))
    .join('');
}

/** Undoes the delta coding and quantisation of an arc (TopoJSON specification, section 2.1.3). */
function decode(arc: [number, number][], transform: Topology['transform']): [number, number][] {
  const [scale, translate] = [transform.scale, transform.translate];
  let [x, y] = [0, 0];
  return arc.map(([dx, dy]) => {
    x += dx;
    y += dy;
    return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
  });
}

/** Points of an arc; a negative number stands for the arc run backwards. */
function points(arcs: [number, number][][], index: number): [number, number][] {
  const arc = arcs[index < 0 ? ~index : index] ?? [];
  return index < 0 ? [...arc].reverse() : arc;
}

/** A ring as path data; where it crosses the date line, it is cut and closed along the edge of the map. */
function ringPath(ring: [number, number][]): string {
  const all = ring.map(([longitude, latitude]) => {
    const { x, y } = project(latitude, longitude);
    return { x: Math.round(x), y: Math.round(y) };
  });
  const jumps = all.map((point, index) => isJump(all.at(index - 1), point));
  const first = Math.max(0, jumps.indexOf(true));
  let path = '';
  let piece: Point[] = [];
  for (const index of all.keys()) {
    const at = (first + index) % all.length;
    if (jumps[at] && piece.length > 0) {
      path += piecePath(piece);
      piece = [];
    }
    const point = all[at];
    if (point !== undefined) piece.push(point);
  }
  return path + piecePath(piece);
}

function isJump(from: Point | undefined, to: Point): boolean {
  return from !== undefined && Math.abs(to.x - from.x) > MAP_WIDTH / 2;
}

/** A closed piece; islands smaller than a unit, and land beyond the edge of the map, vanish. */
function piecePath(piece: Point[]): string {
  const points = piece.map(({ x, y }) => `${x},${y}`);
  const distinct = points.filter((point, index) => point !== points[index - 1]);
  const isFlat =
    new Set(piece.map(({ x }) => x)).size < 2 || new Set(piece.map(({ y }) => y)).size < 2;
  return isFlat || new Set(distinct).size < 3 ? '' : `M${distinct.join(' ')}z`;
}
