import type { CallSession } from '../call/call-session';
import { fill, useMessages } from '../i18n/locale';
import { useStore } from '../util/store';
import { Icon } from './icon';
import { StageNotes } from './stage-notes';
import { peerWord, phaseText } from './texts';
import { isMirrored, Video } from './video';

/** The pictures of the call: the other side large, one's own small. */
export function Stage({ session }: { session: CallSession }) {
  const t = useMessages();
  const state = useStore(session);
  const { camera, cameraOn, problems } = useStore(session.media);
  const { peer, phase } = state;
  const name = peer?.name || peerWord(t, session.role);
  const live = phase === 'connected' || phase === 'reconnecting';
  const nothingToSee = !live || (peer?.camera == null && peer?.screen == null);
  return (
    <div class={`stage ${peer?.screen ? 'stage-screen' : ''} stage-${phase}`}>
      <Video
        track={peer?.screen ?? null}
        label={`${name}: ${t.shareScreen}`}
        class="screen-video"
        testId="remote-screen"
      />
      <Video track={peer?.camera ?? null} label={name} class="remote-video" testId="remote-video" />
      {nothingToSee && (
        <div class="stage-blank" aria-hidden="true">
          <span class={`avatar ${live ? '' : 'avatar-calling'}`}>
            {peer?.name ? initials(peer.name) : <Icon name="person" />}
          </span>
          <p>{live ? fill(t.peerCameraOff, { name }) : phaseText(t, state, session.role)}</p>
        </div>
      )}
      {phase === 'reconnecting' && !nothingToSee && <p class="stage-veil">{t.reconnecting}</p>}
      <StageNotes peer={phase === 'connected' ? peer : null} name={name} problems={problems} />
      <div class="own-video">
        <Video
          track={cameraOn ? camera : null}
          label={t.you}
          class="local-video"
          testId="local-video"
          mirrored={isMirrored(camera)}
        />
        {!cameraOn && <Icon name="camera-off" />}
        <span class="own-name">{t.you}</span>
      </div>
      {state.playbackBlocked && (
        <div class="stage-sound">
          <p>{t.startAudioHint}</p>
          <button
            type="button"
            class="primary"
            data-testid="start-audio"
            onClick={() => void session.room.startAudio()}
          >
            <Icon name="sound" />
            {t.startAudio}
          </button>
        </div>
      )}
    </div>
  );
}

function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? '');
  return letters.join('').toUpperCase();
}
