import type { LocalAudioTrack } from 'livekit-client';
import { useEffect, useRef } from 'preact/hooks';
import { useMessages } from '../i18n/locale';
import { watchLevel } from '../media/level';
import { Icon } from './icon';

/** Shows that the microphone hears its user. */
export function MicLevel({ track }: { track: LocalAudioTrack | null }) {
  const t = useMessages();
  const meter = useRef<HTMLMeterElement>(null);
  useEffect(() => {
    if (track === null) return;
    return watchLevel(track.mediaStreamTrack, (level) => {
      if (meter.current !== null) meter.current.value = level;
    });
  }, [track]);
  return (
    <div class="mic-level">
      <Icon name={track === null ? 'microphone-off' : 'microphone'} />
      <meter ref={meter} min={0} max={1} value={0} aria-label={t.microphoneLevel} />
    </div>
  );
}
