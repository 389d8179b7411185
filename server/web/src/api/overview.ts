import { authorization, request } from './calls';

/** What `GET /v1/operator/overview` answers: the fleet and its calls as one node knows them. */
export interface Overview {
  /** The node that answers. */
  node: string;
  now_ms: number;
  nodes: FleetNode[];
  links: Link[];
  calls: Call[];
}

export interface FleetNode {
  id: string;
  region: string;
  latitude: number;
  longitude: number;
  healthy: boolean;
  draining: boolean;
  parties: number;
  capacity: number;
}

export interface Link {
  from: string;
  to: string;
  rtt_ms: number;
  loss: number;
  up: boolean;
}

export interface Call {
  id: string;
  state: 'created' | 'waiting' | 'answered' | 'ended';
  created_at_ms: number;
  language: string;
  scenario: string;
  tenant: string;
  parties: Party[];
  placement: Placement | null;
}

export interface Party {
  identity: string;
  role: 'shopper' | 'agent' | 'guest';
  name: string;
  region: string;
  latitude: number | null;
  longitude: number | null;
  state: 'expected' | 'here' | 'left';
  node: string;
  predicted_rtt_ms: number | null;
  measured_rtt_ms: number | null;
}

export interface Placement {
  nodes: string[];
  standby: string[];
  link_rtt_ms: number | null;
  predicted_ms: number | null;
  measured_ms: number | null;
}

/** Asks for the overview; `token` is signed with an API key, or empty on a machine of one's own. */
export async function fetchOverview(token: string, signal: AbortSignal): Promise<Overview> {
  const headers = authorization(token);
  const response = await request('/v1/operator/overview', { headers, signal, cache: 'no-store' });
  return (await response.json()) as Overview;
}
