import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Plugin } from 'vite';
import { project } from '../src/pages/operator/projection';

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

function ringPath(ring: [number, number][]): string {
  const seen: string[] = [];
  for (const [longitude, latitude] of ring) {
    const { x, y } = project(latitude, longitude);
    const point = `${Math.round(x)},${Math.round(y)}`;
    if (seen.at(-1) !== point) seen.push(point);
  }
  // Islands smaller than a unit vanish.
  return new Set(seen).size < 3 ? '' : `M${seen.join(' ')}z`;
}
