import { useEffect, useState } from 'preact/hooks';
import type { CallSession } from '../call/call-session';
import type { Failure } from '../call/state';
import { fill, useMessages } from '../i18n/locale';
import { Notice } from './notice';
import { failureAdvice } from './texts';

interface FailureNoticeProps {
  session: CallSession;
  failure: Failure;
  canRetry: boolean;
}

/** Why a call failed, in words, with the way to try again. */
export function FailureNotice({ session, failure, canRetry }: FailureNoticeProps) {
  const t = useMessages();
  const wait = useCountdown(failure);
  const { title, fix } = failureAdvice(t, failure.code);
  return (
    <Notice kind="error" title={title} fix={fix}>
      {failure.detail && <p class="notice-detail">{failure.detail}</p>}
      <div class="notice-actions">
        {canRetry && (
          <button
            type="button"
            class="primary"
            data-testid="retry"
            disabled={wait > 0}
            onClick={() => void session.retry()}
          >
            {wait > 0 ? fill(t.tryAgainIn, { seconds: wait }) : t.tryAgain}
          </button>
        )}
        <button type="button" class="quiet" onClick={() => session.reset()}>
          {t.back}
        </button>
      </div>
    </Notice>
  );
}

/** Seconds left until the server takes another request. */
function useCountdown(failure: Failure): number {
  const [left, setLeft] = useState(failure.retryAfterSeconds ?? 0);
  useEffect(() => {
    setLeft(failure.retryAfterSeconds ?? 0);
    const timer = setInterval(() => setLeft((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, [failure]);
  return left;
}
