import type { CallSession } from '../../call/call-session';
import { fill, useMessages } from '../../i18n/locale';
import { formatDuration } from '../../util/duration';
import { useStore } from '../../util/store';
import { DeviceProblems } from '../../views/device-problems';
import { DeviceSetup } from '../../views/device-setup';
import { FailureNotice } from '../../views/failure-notice';
import { Status } from '../../views/status';
import { endText } from '../../views/texts';

/** Between calls: how the last one ended, and the picture that the next shopper will see. */
export function DeskReady({ session }: { session: CallSession }) {
  const t = useMessages();
  const { phase, failure, endReason, durationMs } = useStore(session);
  const { problems } = useStore(session.media);
  const shown = phase === 'idle' && problems.length > 0 ? 'error' : phase;
  const canRetry = failure?.code === 'server-away' || failure?.code === 'media-blocked';
  return (
    <main class="desk-ready">
      <Status phase={shown} error={failure?.code ?? problems[0]}>
        {failure !== null && (
          <FailureNotice session={session} failure={failure} canRetry={canRetry} />
        )}
        {phase === 'ended' && (
          <p class="desk-ended">
            {endText(t, endReason, 'agent')}
            {durationMs > 0 && ` ${fill(t.duration, { time: formatDuration(durationMs) })}`}
          </p>
        )}
        <DeviceProblems media={session.media} />
        {failure === null && <h1>{t.readyToAnswer}</h1>}
      </Status>
      <p class="lead">{t.deskCheck}</p>
      <DeviceSetup media={session.media} />
    </main>
  );
}
