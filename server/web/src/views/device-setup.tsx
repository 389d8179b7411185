import { useMessages } from '../i18n/locale';
import type { LocalMedia } from '../media/local-media';
import { useStore } from '../util/store';
import { DeviceSelects } from './device-selects';
import { Icon } from './icon';
import { MicLevel } from './mic-level';
import { isMirrored, Video } from './video';

/** The live preview before a call, with the choice of devices. */
export function DeviceSetup({ media }: { media: LocalMedia }) {
  const t = useMessages();
  const { camera, cameraOn, microphone, microphoneOn, starting } = useStore(media);
  return (
    <section class="device-setup" aria-label={t.preview}>
      <div class="preview">
        <Video
          track={cameraOn ? camera : null}
          label={t.preview}
          class="preview-video"
          testId="preview"
          mirrored={isMirrored(camera)}
        />
        {!cameraOn && (
          <p class="preview-off">
            <Icon name={starting ? 'camera' : 'camera-off'} />
            {starting ? t.startingDevices : t.cameraIsOff}
          </p>
        )}
        <div class="preview-bar">
          <MicLevel track={microphoneOn ? microphone : null} />
          <button
            type="button"
            class="round"
            data-testid="preview-microphone"
            aria-label={microphoneOn ? t.mute : t.unmute}
            aria-pressed={!microphoneOn}
            onClick={() => void media.toggle('microphone')}
          >
            <Icon name={microphoneOn ? 'microphone' : 'microphone-off'} />
          </button>
          <button
            type="button"
            class="round"
            data-testid="preview-camera"
            aria-label={cameraOn ? t.cameraOff : t.cameraOn}
            aria-pressed={!cameraOn}
            onClick={() => void media.toggle('camera')}
          >
            <Icon name={cameraOn ? 'camera' : 'camera-off'} />
          </button>
        </div>
      </div>
      <DeviceSelects media={media} />
    </section>
  );
}
