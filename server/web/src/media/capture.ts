import {
  createLocalAudioTrack,
  createLocalTracks,
  createLocalVideoTrack,
  LocalAudioTrack,
  LocalVideoTrack,
  VideoPresets,
} from 'livekit-client';
import { addProblem, type DeviceKind, type DeviceProblem, deviceProblem } from './device-problem';

export interface Captured {
  camera: LocalVideoTrack | null;
  microphone: LocalAudioTrack | null;
  problems: DeviceProblem[];
}

export function captureCamera(deviceId: string): Promise<LocalVideoTrack> {
  return createLocalVideoTrack(cameraOptions(deviceId));
}

export function captureMicrophone(deviceId: string): Promise<LocalAudioTrack> {
  return createLocalAudioTrack(microphoneOptions(deviceId));
}

/**
 * Opens camera and microphone with a single permission question where possible; when that fails,
 * opens each on its own so that one missing device does not cost the other.
 */
export async function captureBoth(cameraId: string, microphoneId: string): Promise<Captured> {
  if (navigator.mediaDevices === undefined) {
    return { camera: null, microphone: null, problems: ['insecure-page'] };
  }
  try {
    const tracks = await createLocalTracks({
      video: cameraOptions(cameraId),
      audio: microphoneOptions(microphoneId),
    });
    return {
      camera: tracks.find((track) => track instanceof LocalVideoTrack) ?? null,
      microphone: tracks.find((track) => track instanceof LocalAudioTrack) ?? null,
      problems: [],
    };
  } catch (error) {
    const denied = deviceProblem('camera', error) === 'denied';
    const captured: Captured = { camera: null, microphone: null, problems: [] };
    const attempt = async (kind: DeviceKind, open: () => Promise<void>) => {
      // After a refusal only devices that are still allowed are opened: asking again would nag.
      if (denied && !(await isGranted(kind))) {
        captured.problems = addProblem(captured.problems, 'denied');
        return;
      }
      await open().catch((reason: unknown) => {
        captured.problems = addProblem(captured.problems, deviceProblem(kind, reason));
      });
    };
    await attempt('camera', async () => {
      captured.camera = await captureCamera(cameraId);
    });
    await attempt('microphone', async () => {
      captured.microphone = await captureMicrophone(microphoneId);
    });
    return captured;
  }
}

async function isGranted(kind: DeviceKind): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: kind as PermissionName });
    return status.state === 'granted';
  } catch {
    return false;
  }
}

function cameraOptions(deviceId: string) {
  return { deviceId: deviceId || undefined, resolution: VideoPresets.h720.resolution };
}

function microphoneOptions(deviceId: string) {
  return {
    deviceId: deviceId || undefined,
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  };
}
