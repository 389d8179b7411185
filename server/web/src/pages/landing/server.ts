export const HEALTH_PATH = '/healthz';
export const METRICS_PATH = '/metrics';

/** The address that SDKs connect to: the server of this page. */
export function serverUrl(page: { protocol: string; host: string }): string {
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${page.host}`;
}
