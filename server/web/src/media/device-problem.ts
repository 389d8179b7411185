import { MediaDeviceFailure } from 'livekit-client';

export type DeviceKind = 'camera' | 'microphone';

/** Why a device cannot be used, as a stable code. */
export type DeviceProblem =
  | 'no-camera'
  | 'no-microphone'
  | 'denied'
  | 'camera-busy'
  | 'microphone-busy'
  | 'insecure-page';

/** Names the reason why getUserMedia failed for one device. */
export function deviceProblem(kind: DeviceKind, error: unknown): DeviceProblem {
  switch (MediaDeviceFailure.getFailure(error)) {
    case MediaDeviceFailure.PermissionDenied:
      return 'denied';
    case MediaDeviceFailure.DeviceInUse:
      return kind === 'camera' ? 'camera-busy' : 'microphone-busy';
    default:
      return kind === 'camera' ? 'no-camera' : 'no-microphone';
  }
}

/** Adds a problem once, camera problems first, as they are shown. */
export function addProblem(problems: DeviceProblem[], problem: DeviceProblem): DeviceProblem[] {
  const order: DeviceProblem[] = [
    'insecure-page',
    'denied',
    'no-camera',
    'camera-busy',
    'no-microphone',
    'microphone-busy',
  ];
  return order.filter((known) => known === problem || problems.includes(known));
}
