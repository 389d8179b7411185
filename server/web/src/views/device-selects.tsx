import { useMessages } from '../i18n/locale';
import type { DeviceKind } from '../media/device-problem';
import type { LocalMedia } from '../media/local-media';
import { useStore } from '../util/store';

/** Chooses the camera and the microphone, before a call or within it. */
export function DeviceSelects({ media }: { media: LocalMedia }) {
  const t = useMessages();
  const { cameras, microphones, cameraId, microphoneId } = useStore(media);
  return (
    <div class="device-selects">
      <DeviceSelect
        kind="camera"
        label={t.camera}
        none={t.problemNoCamera}
        devices={cameras}
        chosen={cameraId}
        media={media}
      />
      <DeviceSelect
        kind="microphone"
        label={t.microphone}
        none={t.problemNoMicrophone}
        devices={microphones}
        chosen={microphoneId}
        media={media}
      />
    </div>
  );
}

interface DeviceSelectProps {
  kind: DeviceKind;
  label: string;
  none: string;
  devices: MediaDeviceInfo[];
  chosen: string;
  media: LocalMedia;
}

function DeviceSelect({ kind, label, none, devices, chosen, media }: DeviceSelectProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        data-testid={`${kind}-select`}
        value={chosen}
        disabled={devices.length === 0}
        onChange={(event) => void media.choose(kind, event.currentTarget.value)}
      >
        {devices.length === 0 && <option value="">{none}</option>}
        {devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}
