import type { CallSession } from '../../call/call-session';
import { fill, useMessages } from '../../i18n/locale';
import { formatDuration } from '../../util/duration';
import { useStore } from '../../util/store';
import { FailureNotice } from '../../views/failure-notice';
import { Icon } from '../../views/icon';
import { Status } from '../../views/status';
import { endText } from '../../views/texts';
import { callAs, loadCaller } from './caller';

/** What a shopper sees when a call has ended or could not be made. */
export function AfterCall({ session }: { session: CallSession }) {
  const t = useMessages();
  const { phase, failure, endReason, durationMs } = useStore(session);
  return (
    <main class="after-call">
      <div class="card">
        {failure !== null && <h1 class="visually-hidden">{t.callTitle}</h1>}
        <Status phase={phase} error={failure?.code}>
          {failure === null ? (
            <>
              <span class="after-call-mark">
                <Icon name="hang-up" />
              </span>
              <h1>{endText(t, endReason, 'shopper')}</h1>
              {durationMs > 0 && (
                <p class="lead">{fill(t.duration, { time: formatDuration(durationMs) })}</p>
              )}
            </>
          ) : (
            <FailureNotice session={session} failure={failure} canRetry />
          )}
        </Status>
        {failure === null && (
          <div class="after-call-actions">
            <button
              type="button"
              class="primary"
              data-testid="call"
              onClick={() => void session.start(callAs(loadCaller()))}
            >
              <Icon name="phone" />
              {t.callAgain}
            </button>
            <button type="button" class="quiet" onClick={() => session.reset()}>
              {t.back}
            </button>
          </div>
        )}
      </div>
    </main>
  );
}
