import type { CallSession } from '../call/call-session';
import { useMessages } from '../i18n/locale';
import { formatDuration } from '../util/duration';
import { useStore } from '../util/store';
import { useNow } from '../util/use-now';
import { Status } from './status';
import { phaseText, qualityText } from './texts';

/** Says in words how the call is going. */
export function CallHeader({ session }: { session: CallSession }) {
  const t = useMessages();
  const state = useStore(session);
  const now = useNow(state.connectedAt !== null);
  const { phase, quality, connectedAt } = state;
  return (
    <div class="call-header">
      <Status phase={phase}>{phaseText(t, state, session.role)}</Status>
      <span class="quality" data-testid="quality" data-quality={quality} aria-live="polite">
        <span class="quality-bars" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        {(phase === 'waiting' || phase === 'connected') && qualityText(t, quality)}
      </span>
      {connectedAt !== null && (
        <time class="call-time" data-testid="duration">
          {formatDuration(now - connectedAt)}
        </time>
      )}
    </div>
  );
}
