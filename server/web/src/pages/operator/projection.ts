/** Size of the map in its own units. */
export const MAP_WIDTH = 1000;
export const MAP_HEIGHT = 420;

/** Northern and southern edge of the map, degrees: nobody calls from further out. */
const NORTH = 84;
const SOUTH = -60;

export interface Point {
  x: number;
  y: number;
}

/** Where a place is on the map: degrees become units evenly, so that people recognise the map. */
export function project(latitude: number, longitude: number): Point {
  const inside = Math.min(NORTH, Math.max(SOUTH, latitude));
  return {
    x: ((longitude + 180) / 360) * MAP_WIDTH,
    y: ((NORTH - inside) / (NORTH - SOUTH)) * MAP_HEIGHT,
  };
}

/** A line from one place to another, bent upwards so that lines there and back can be told apart. */
export function arc(from: Point, to: Point): string {
  const bend = Math.min(60, Math.hypot(to.x - from.x, to.y - from.y) / 5);
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - bend };
  return `M${round(from.x)},${round(from.y)}Q${round(middle.x)},${round(middle.y)} ${round(to.x)},${round(to.y)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
