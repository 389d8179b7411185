import { useState } from 'preact/hooks';
import type { CallSession } from '../call/call-session';
import { useMessages } from '../i18n/locale';
import { useStore } from '../util/store';
import { DevicesDialog } from './devices-dialog';
import { Icon, type IconName } from './icon';

const canShareScreen = navigator.mediaDevices?.getDisplayMedia !== undefined;

/** The buttons of a running call. */
export function CallControls({ session }: { session: CallSession }) {
  const t = useMessages();
  const { phase, sharingScreen } = useStore(session);
  const { cameraOn, microphoneOn } = useStore(session.media);
  const [choosingDevices, setChoosingDevices] = useState(false);
  const media = session.media;
  return (
    <div class="controls" role="toolbar" aria-label={t.callControls}>
      <Control
        testId="mute"
        icon={microphoneOn ? 'microphone' : 'microphone-off'}
        label={microphoneOn ? t.mute : t.unmute}
        pressed={!microphoneOn}
        onClick={() => void media.toggle('microphone')}
      />
      <Control
        testId="camera-toggle"
        icon={cameraOn ? 'camera' : 'camera-off'}
        label={cameraOn ? t.cameraOff : t.cameraOn}
        pressed={!cameraOn}
        onClick={() => void media.toggle('camera')}
      />
      {canShareScreen && (
        <Control
          testId="share-screen"
          icon="screen"
          label={sharingScreen ? t.stopSharing : t.shareScreen}
          pressed={sharingScreen}
          disabled={phase !== 'connected'}
          onClick={() => void session.toggleScreenShare()}
        />
      )}
      <Control
        testId="devices"
        icon="devices"
        label={t.devices}
        onClick={() => setChoosingDevices(true)}
      />
      <Control
        testId="hang-up"
        icon="hang-up"
        label={t.hangUp}
        danger
        onClick={() => void session.hangUp()}
      />
      {choosingDevices && <DevicesDialog media={media} onClose={() => setChoosingDevices(false)} />}
    </div>
  );
}

interface ControlProps {
  testId: string;
  icon: IconName;
  label: string;
  pressed?: boolean;
  disabled?: boolean;
  danger?: boolean;
  onClick: () => void;
}

function Control({ testId, icon, label, pressed, disabled, danger, onClick }: ControlProps) {
  return (
    <button
      type="button"
      class={`control ${pressed ? 'control-pressed' : ''} ${danger ? 'control-danger' : ''}`}
      data-testid={testId}
      disabled={disabled}
      onClick={onClick}
    >
      <span class="control-face">
        <Icon name={icon} />
      </span>
      <span class="control-label">{label}</span>
    </button>
  );
}
