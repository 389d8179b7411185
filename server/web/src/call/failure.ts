import { ConnectionError, ConnectionErrorReason } from 'livekit-client';
import { RequestError } from '../api/problem';
import type { Failure, FailureCode } from './state';

/** Turns whatever stopped a call from being made into a failure to show. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RequestError) {
    const { status, detail, retryAfterSeconds } = error;
    return { code: requestFailure(status), detail, retryAfterSeconds };
  }
  if (error instanceof ConnectionError) {
    return { code: connectionFailure(error), detail: '', retryAfterSeconds: null };
  }
  const detail = error instanceof Error ? error.message : '';
  return { code: 'media-blocked', detail, retryAfterSeconds: null };
}

function requestFailure(status: number): FailureCode {
  switch (status) {
    case 401:
    case 403:
      return 'unauthorized';
    case 404:
    case 410:
      return 'call-gone';
    case 409:
      return 'already-answered';
    case 429:
      return 'rate-limited';
    case 503:
      return 'unavailable';
    default:
      return status === 0 || status >= 500 ? 'server-away' : 'refused';
  }
}

function connectionFailure(error: ConnectionError): FailureCode {
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return 'call-gone';
    case ConnectionErrorReason.InternalError:
      // The SDK names this case in its message alone.
      return /establish \w+ connection/i.test(error.message) ? 'media-blocked' : 'server-away';
    default:
      return 'server-away';
  }
}
