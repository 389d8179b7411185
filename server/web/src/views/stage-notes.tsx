import type { Peer } from '../call/state';
import { fill, useMessages } from '../i18n/locale';
import type { DeviceProblem } from '../media/device-problem';
import { Icon } from './icon';
import { problemAdvice } from './texts';

interface StageNotesProps {
  peer: Peer | null;
  name: string;
  problems: DeviceProblem[];
}

/** Short remarks over the picture: what is missing of the other side, and of one's own. */
export function StageNotes({ peer, name, problems }: StageNotesProps) {
  const t = useMessages();
  return (
    <div class="stage-notes" aria-live="polite">
      {peer?.videoPaused && <p class="chip">{t.videoPaused}</p>}
      {peer !== null && !peer.microphoneOn && (
        <p class="chip">
          <Icon name="microphone-off" />
          {fill(t.peerMuted, { name })}
        </p>
      )}
      {problems.map((problem) => (
        <p key={problem} class="chip">
          <Icon name="warning" />
          {problemAdvice(t, problem).title}
        </p>
      ))}
    </div>
  );
}
