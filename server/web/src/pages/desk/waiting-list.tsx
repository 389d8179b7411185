import type { CallSummary } from '../../api/calls';
import { fill, languageName, useLocale, useMessages } from '../../i18n/locale';
import { formatDuration } from '../../util/duration';
import { useNow } from '../../util/use-now';
import { Icon } from '../../views/icon';

interface WaitingListProps {
  calls: CallSummary[];
  /** The list may be out of date because the server is away. */
  stale: boolean;
  canAnswer: boolean;
  answer: (call: CallSummary) => void;
}

/** Who is waiting, longest first, and who is being served. */
export function WaitingList({ calls, stale, canAnswer, answer }: WaitingListProps) {
  const t = useMessages();
  const now = useNow(calls.length > 0);
  const byAge = [...calls].sort((a, b) => a.created_at_ms - b.created_at_ms);
  const waiting = byAge.filter((call) => call.state === 'waiting');
  const answered = byAge.filter((call) => call.state === 'answered');
  return (
    <aside class={`waiting ${stale ? 'waiting-stale' : ''}`} aria-label={t.waitingShoppers}>
      <h2 class="waiting-heading">
        {t.waitingShoppers}
        {waiting.length > 0 && <span class="count">{waiting.length}</span>}
      </h2>
      <ul class="waiting-list" data-testid="waiting-list">
        {waiting.map((call) => (
          <li key={call.id} class="waiting-item" data-testid="waiting-item" data-call={call.id}>
            <Caller call={call} now={now} />
            <button
              type="button"
              class="primary"
              data-testid="answer"
              disabled={!canAnswer}
              aria-label={fill(t.answerName, { name: call.name || t.guest })}
              onClick={() => answer(call)}
            >
              <Icon name="phone" />
              {t.answer}
            </button>
          </li>
        ))}
      </ul>
      {waiting.length === 0 && (
        <div class="waiting-empty">
          <Icon name="phone" />
          <strong>{t.nobodyWaiting}</strong>
          <span>{t.nobodyWaitingHint}</span>
        </div>
      )}
      {answered.length > 0 && (
        <>
          <h3 class="answered-heading">{t.inProgress}</h3>
          <ul class="answered-list">
            {answered.map((call) => (
              <li key={call.id}>
                {call.name || t.guest}{' '}
                {call.agent !== null && <small>{fill(t.with, { name: call.agent })}</small>}
              </li>
            ))}
          </ul>
        </>
      )}
    </aside>
  );
}

function Caller({ call, now }: { call: CallSummary; now: number }) {
  const t = useMessages();
  const locale = useLocale();
  return (
    <div class="caller">
      <strong>{call.name || t.guest}</strong>
      <span class="caller-facts">
        {call.language && <span>{languageName(call.language, locale)}</span>}
        <time>{formatDuration(now - call.created_at_ms)}</time>
      </span>
    </div>
  );
}
