/** A failed request: the problem document of the server, or status 0 when no answer came. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(detail || `request failed with status ${status}`);
    this.name = 'RequestError';
  }
}

/** Reads an application/problem+json answer (RFC 9457) into a RequestError. */
export async function requestError(response: Response): Promise<RequestError> {
  let detail = '';
  try {
    const body = (await response.json()) as { detail?: unknown; title?: unknown };
    detail = [body.detail, body.title].find((text) => typeof text === 'string') ?? '';
  } catch {
    // A proxy in between may answer with a page of its own; its status still tells what happened.
  }
  return new RequestError(
    response.status,
    detail,
    parseRetryAfter(response.headers.get('retry-after'), Date.now()),
  );
}

/** Seconds to wait from a Retry-After header, which holds seconds or a date. */
export function parseRetryAfter(header: string | null, now: number): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, Math.ceil(seconds));
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}
