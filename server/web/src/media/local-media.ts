import { type LocalAudioTrack, type LocalVideoTrack, TrackEvent } from 'livekit-client';
import { Store } from '../util/store';
import { captureBoth, captureCamera, captureMicrophone } from './capture';
import { addProblem, type DeviceKind, type DeviceProblem, deviceProblem } from './device-problem';

export interface LocalMediaState {
  camera: LocalVideoTrack | null;
  microphone: LocalAudioTrack | null;
  cameraOn: boolean;
  microphoneOn: boolean;
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  cameraId: string;
  microphoneId: string;
  problems: DeviceProblem[];
  starting: boolean;
}

/** The camera and microphone of this page: preview before a call, published tracks within it. */
export class LocalMedia extends Store<LocalMediaState> {
  constructor() {
    super({
      camera: null,
      microphone: null,
      cameraOn: false,
      microphoneOn: false,
      cameras: [],
      microphones: [],
      cameraId: '',
      microphoneId: '',
      problems: [],
      starting: false,
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.listDevices());
  }

  /** Opens what is not open yet. */
  async start(): Promise<void> {
    const { camera, microphone, cameraId, microphoneId, starting } = this.get();
    if (starting || (camera !== null && microphone !== null)) return;
    this.release();
    this.set({ starting: true, problems: [] });
    const captured = await captureBoth(cameraId, microphoneId);
    if (captured.camera !== null) this.adoptCamera(captured.camera);
    if (captured.microphone !== null) this.adoptMicrophone(captured.microphone);
    this.set({ problems: captured.problems, starting: false });
    await this.listDevices();
  }

  /** Releases both devices, so that their lights go out. */
  release(): void {
    this.get().camera?.stop();
    this.get().microphone?.stop();
    this.set({ camera: null, microphone: null, cameraOn: false, microphoneOn: false });
  }

  async toggle(kind: DeviceKind): Promise<void> {
    const { camera, microphone, cameraId, microphoneId } = this.get();
    const track = kind === 'camera' ? camera : microphone;
    try {
      if (track === null) {
        if (kind === 'camera') this.adoptCamera(await captureCamera(cameraId));
        else this.adoptMicrophone(await captureMicrophone(microphoneId));
        this.set({ problems: [] });
        await this.listDevices();
      } else if (track.isMuted) await track.unmute();
      else await track.mute();
    } catch (error) {
      this.set({ problems: addProblem(this.get().problems, deviceProblem(kind, error)) });
    }
    this.readMutes();
  }

  async choose(kind: DeviceKind, deviceId: string): Promise<void> {
    this.set(kind === 'camera' ? { cameraId: deviceId } : { microphoneId: deviceId });
    const { camera, microphone } = this.get();
    const track = kind === 'camera' ? camera : microphone;
    if (track === null) return this.toggle(kind);
    try {
      await track.setDeviceId({ exact: deviceId });
      this.set({ problems: [] });
    } catch (error) {
      this.set({ problems: addProblem(this.get().problems, deviceProblem(kind, error)) });
    }
  }

  private adoptCamera(camera: LocalVideoTrack): void {
    camera.on(TrackEvent.Ended, () => {
      const problems = addProblem(this.get().problems, 'no-camera');
      if (this.get().camera === camera) this.set({ camera: null, cameraOn: false, problems });
    });
    this.set({ camera, cameraOn: true });
  }

  private adoptMicrophone(microphone: LocalAudioTrack): void {
    microphone.on(TrackEvent.Ended, () => {
      const problems = addProblem(this.get().problems, 'no-microphone');
      if (this.get().microphone !== microphone) return;
      this.set({ microphone: null, microphoneOn: false, problems });
    });
    this.set({ microphone, microphoneOn: true });
  }

  private readMutes(): void {
    const { camera, microphone } = this.get();
    this.set({
      cameraOn: camera !== null && !camera.isMuted,
      microphoneOn: microphone !== null && !microphone.isMuted,
    });
  }

  private async listDevices(): Promise<void> {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const named = (kind: MediaDeviceKind) =>
      devices.filter((device) => device.kind === kind && device.deviceId !== '');
    const { camera, microphone } = this.get();
    this.set({
      cameras: named('videoinput'),
      microphones: named('audioinput'),
      cameraId: camera?.mediaStreamTrack.getSettings().deviceId ?? this.get().cameraId,
      microphoneId: microphone?.mediaStreamTrack.getSettings().deviceId ?? this.get().microphoneId,
    });
  }
}
