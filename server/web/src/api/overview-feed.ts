import { Store } from '../util/store';
import { backOff } from './back-off';
import { fetchOverview, type Overview } from './overview';
import { RequestError } from './problem';

/** How often the overview is asked for: calls change by the second. */
const EVERY_MS = 2_000;

export interface OverviewState {
  link: 'connecting' | 'live' | 'away' | 'refused';
  detail: string;
  overview: Overview | null;
}

/** The overview, kept up to date until closed. */
export class OverviewFeed extends Store<OverviewState> {
  private readonly closing = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly token: string,
    private readonly ask: typeof fetchOverview = fetchOverview,
  ) {
    super({ link: 'connecting', detail: '', overview: null });
    void this.look(0);
  }

  close(): void {
    this.closing.abort();
    clearTimeout(this.timer);
  }

  private async look(failures: number): Promise<void> {
    let pause = EVERY_MS;
    let failed = 0;
    try {
      const overview = await this.ask(this.token, this.closing.signal);
      this.set({ link: 'live', detail: '', overview });
    } catch (error) {
      if (this.closing.signal.aborted) return;
      const detail = error instanceof RequestError ? error.detail : '';
      if (error instanceof RequestError && (error.status === 401 || error.status === 403)) {
        this.set({ link: 'refused', detail, overview: null });
        return;
      }
      failed = failures + 1;
      pause = backOff(failures);
      this.set({ link: 'away', detail });
    }
    if (!this.closing.signal.aborted) {
      this.timer = setTimeout(() => void this.look(failed), pause);
    }
  }
}
