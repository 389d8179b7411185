import land from 'virtual:land';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Call, Overview } from '../../api/overview';
import { type Leg, legs, milliseconds, nodePlace, partyName, partyPlace } from './legs';
import { nodeState } from './node-table';
import { arc, MAP_HEIGHT, MAP_WIDTH, type Point } from './projection';
import { texts } from './texts';

/** Height of text and radius of a node on the screen, pixels. */
const TEXT_PX = 12;
const NODE_PX = 6;
const PARTY_PX = 4;

interface WorldMapProps {
  overview: Overview;
  /** The call whose delays are written on the map. */
  chosen: Call | null;
}

/** Nodes, links and calls on a map. It is for the eye: the tables beside it say the same in words. */
export function WorldMap({ overview, chosen }: WorldMapProps) {
  const frame = useRef<HTMLElement>(null);
  const scale = useUnitsPerPixel(frame);
  const nodes = new Map(overview.nodes.map((node) => [node.id, node]));
  const placed = overview.nodes.flatMap((node) => {
    const at = nodePlace(node);
    return at === null ? [] : [{ node, at }];
  });
  const isUnplaced = placed.some(({ node }) => node.latitude === 0 && node.longitude === 0);
  return (
    <figure class="map" ref={frame}>
      <svg
        viewBox={`0 0 ${MAP_WIDTH} ${MAP_HEIGHT}`}
        role="img"
        aria-label={`${texts.mapTitle}: ${overview.nodes.length} nodes, ${overview.calls.length} calls`}
        data-testid="map"
        font-size={TEXT_PX * scale}
      >
        <path class="map-land" d={land} />
        <Links overview={overview} />
        {overview.calls.map((call) => (
          <g key={call.id} class={`map-call ${call.id === chosen?.id ? 'map-chosen' : ''}`}>
            {legs(overview, call).map((leg) => (
              <Way key={leg.key} leg={leg} />
            ))}
            {call.parties
              .filter((party) => party.state !== 'left')
              .map((party) => {
                const at = partyPlace(party, nodes);
                return (
                  at !== null && (
                    <circle
                      key={party.identity}
                      class={`map-party map-${party.role} map-${party.state}`}
                      data-testid="map-party"
                      cx={at.x}
                      cy={at.y}
                      r={PARTY_PX * scale}
                    >
                      <title>{partyName(party)}</title>
                    </circle>
                  )
                );
              })}
          </g>
        ))}
        {placed.map(({ node, at }) => (
          <g key={node.id} class={`map-node map-${nodeState(node)}`} data-testid="map-node">
            <circle cx={at.x} cy={at.y} r={NODE_PX * scale} />
            <Label at={at} below={(TEXT_PX + NODE_PX) * scale} text={node.id} />
          </g>
        ))}
        {chosen !== null &&
          legs(overview, chosen).map((leg) => <Delay key={leg.key} leg={leg} scale={scale} />)}
      </svg>
      <figcaption>
        <span class="key key-node">{texts.legend.node}</span>
        <span class="key key-shopper">{texts.legend.shopper}</span>
        <span class="key key-agent">{texts.legend.agent}</span>
        <span class="key key-link">{texts.legend.link}</span>
        <span>{isUnplaced ? texts.noPlace : texts.unplaced}</span>
      </figcaption>
    </figure>
  );
}

function Links({ overview }: { overview: Overview }) {
  const places = new Map(overview.nodes.map((node) => [node.id, nodePlace(node)]));
  return (
    <g class="map-links">
      {overview.links.map((link) => {
        const [from, to] = [places.get(link.from), places.get(link.to)];
        if (!from || !to || link.from > link.to) return null;
        return (
          <path
            key={`${link.from} ${link.to}`}
            class={link.up ? '' : 'map-link-down'}
            d={arc(from, to)}
          />
        );
      })}
    </g>
  );
}

function Way({ leg }: { leg: Leg }) {
  if (leg.start === null || leg.end === null) return null;
  return <path class="map-leg" d={arc(leg.start, leg.end)} />;
}

function Delay({ leg, scale }: { leg: Leg; scale: number }) {
  const shown = leg.measured ?? leg.predicted;
  if (leg.start === null || leg.end === null || shown === null) return null;
  const middle = { x: (leg.start.x + leg.end.x) / 2, y: (leg.start.y + leg.end.y) / 2 };
  const length = Math.hypot(leg.end.x - leg.start.x, leg.end.y - leg.start.y);
  // On a short leg there is no room beside the name of the node.
  const above = -(Math.min(30, length / 10) + 6 * scale) - (length < 60 ? 18 * scale : 0);
  return <Label at={middle} below={above} text={milliseconds(shown)} class="map-delay" />;
}

interface LabelProps {
  at: Point;
  below: number;
  text: string;
  class?: string;
}

function Label({ at, below, text, class: kind = '' }: LabelProps) {
  // Text at the edge stays on the map.
  const anchor = at.x < 80 ? 'start' : at.x > MAP_WIDTH - 80 ? 'end' : 'middle';
  return (
    <text class={`map-label ${kind}`} x={at.x} y={at.y + below} text-anchor={anchor}>
      {text}
    </text>
  );
}

/** Units of the map that are one pixel wide, so that text has one size on every screen. */
function useUnitsPerPixel(frame: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(MAP_WIDTH);
  useEffect(() => {
    if (frame.current === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined && entry.contentRect.width > 0) setWidth(entry.contentRect.width);
    });
    observer.observe(frame.current);
    return () => observer.disconnect();
  }, [frame]);
  return MAP_WIDTH / width;
}
