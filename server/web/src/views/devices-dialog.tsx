import { useEffect, useRef } from 'preact/hooks';
import { useMessages } from '../i18n/locale';
import type { LocalMedia } from '../media/local-media';
import { useStore } from '../util/store';
import { DeviceProblems } from './device-problems';
import { DeviceSelects } from './device-selects';
import { Icon } from './icon';
import { MicLevel } from './mic-level';

interface DevicesDialogProps {
  media: LocalMedia;
  onClose: () => void;
}

/** Switches devices within a call; Escape closes it. */
export function DevicesDialog({ media, onClose }: DevicesDialogProps) {
  const t = useMessages();
  const { microphone, microphoneOn } = useStore(media);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="dialog" aria-label={t.devices} onClose={onClose}>
      <header class="dialog-header">
        <h2>{t.devices}</h2>
        <button
          type="button"
          class="round"
          aria-label={t.close}
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      <DeviceProblems media={media} />
      <DeviceSelects media={media} />
      <MicLevel track={microphoneOn ? microphone : null} />
    </dialog>
  );
}
