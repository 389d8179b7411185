import type { Probe } from './edges';
import { RequestError, requestError } from './problem';

/** What a participant needs to join the room of a call. */
export interface CallGrant {
  id: string;
  room: string;
  identity: string;
  url: string;
  token: string;
}

export interface CallSummary {
  id: string;
  room: string;
  name: string;
  language: string;
  state: 'waiting' | 'answered';
  created_at_ms: number;
  agent: string | null;
}

export interface CallList {
  calls: CallSummary[];
}

/** Asks for a new call as a shopper. */
export function createCall(shopper: {
  name?: string;
  language?: string;
  probes: Probe[];
}): Promise<CallGrant> {
  return post('/v1/shopper/calls', shopper, '');
}

/** Takes a waiting call as an agent. */
export function answerCall(
  id: string,
  agent: { name: string; probes: Probe[] },
  deskKey: string,
): Promise<CallGrant> {
  return post(`/v1/desk/calls/${encodeURIComponent(id)}/answer`, agent, deskKey);
}

/** Opens the server-sent events with the list of calls. */
export async function openCallEvents(
  deskKey: string,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const headers = { accept: 'text/event-stream', ...authorization(deskKey) };
  const response = await request('/v1/desk/events', { headers, signal, cache: 'no-store' });
  if (response.body === null) throw new RequestError(0, '');
  return response.body;
}

async function post<T>(path: string, body: object, deskKey: string): Promise<T> {
  const response = await request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization(deskKey) },
    body: JSON.stringify(body),
  });
  return (await response.json()) as T;
}

export async function request(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(path, init).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new RequestError(0, '');
  });
  if (!response.ok) throw await requestError(response);
  return response;
}

export function authorization(key: string): Record<string, string> {
  return key === '' ? {} : { authorization: `Bearer ${key}` };
}
