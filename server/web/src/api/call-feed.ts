import { Store } from '../util/store';
import { backOff } from './back-off';
import { type CallList, type CallSummary, openCallEvents } from './calls';
import { EventStreamParser } from './event-stream';
import { RequestError } from './problem';

/** How long the list may be silent before the desk says that the server is away. */
const SILENCE_MS = 3_000;

export interface FeedState {
  link: 'connecting' | 'live' | 'away' | 'refused';
  detail: string;
  calls: CallSummary[];
}

/** The live list of calls, kept up over broken connections until closed. */
export class CallFeed extends Store<FeedState> {
  private readonly closing = new AbortController();

  constructor(private readonly deskKey: string) {
    super({ link: 'connecting', detail: '', calls: [] });
    void this.run();
  }

  close(): void {
    this.closing.abort();
  }

  private async run(): Promise<void> {
    let attempt = 0;
    while (!this.closing.signal.aborted) {
      const away = setTimeout(() => this.set({ link: 'away' }), SILENCE_MS);
      try {
        await this.follow(() => {
          clearTimeout(away);
          attempt = 0;
        });
      } catch (error) {
        if (this.closing.signal.aborted) return;
        if (error instanceof RequestError && (error.status === 401 || error.status === 403)) {
          this.set({ link: 'refused', detail: error.detail, calls: [] });
          return;
        }
        this.set({ link: 'away', detail: error instanceof RequestError ? error.detail : '' });
      } finally {
        clearTimeout(away);
      }
      await pause(backOff(attempt++), this.closing.signal);
    }
  }

  private async follow(onEvent: () => void): Promise<void> {
    const stream = await openCallEvents(this.deskKey, this.closing.signal);
    const reader = stream.getReader();
    const decoder = new TextDecoder();
    const parser = new EventStreamParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
        if (event !== 'calls') continue;
        onEvent();
        this.set({ link: 'live', detail: '', calls: (JSON.parse(data) as CallList).calls });
      }
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
