import type { RemoteVideoTrack } from 'livekit-client';

export type Role = 'shopper' | 'agent';

export type CallPhase =
  | 'idle'
  | 'requesting'
  | 'connecting'
  | 'waiting'
  | 'connected'
  | 'reconnecting'
  | 'ended'
  | 'error';

export type EndReason = 'hung-up' | 'peer-left' | 'removed' | 'opened-elsewhere';

/** Why a call could not be made or kept, as a stable code. */
export type FailureCode =
  | 'server-away'
  | 'rate-limited'
  | 'unavailable'
  | 'unauthorized'
  | 'call-gone'
  | 'already-answered'
  | 'media-blocked'
  | 'refused';

export interface Failure {
  code: FailureCode;
  detail: string;
  retryAfterSeconds: number | null;
}

export type Quality = 'excellent' | 'good' | 'poor' | 'lost' | 'unknown';

/** The participant on the other end, as the call view shows it. */
export interface Peer {
  identity: string;
  name: string;
  camera: RemoteVideoTrack | null;
  screen: RemoteVideoTrack | null;
  microphoneOn: boolean;
  videoPaused: boolean;
  quality: Quality;
}

export interface CallState {
  phase: CallPhase;
  failure: Failure | null;
  endReason: EndReason | null;
  peer: Peer | null;
  /** The peer was here and is gone; it may be reloading its page. */
  peerMissing: boolean;
  quality: Quality;
  connectedAt: number | null;
  durationMs: number;
  playbackBlocked: boolean;
  sharingScreen: boolean;
}

export const initialCallState: CallState = {
  phase: 'idle',
  failure: null,
  endReason: null,
  peer: null,
  peerMissing: false,
  quality: 'unknown',
  connectedAt: null,
  durationMs: 0,
  playbackBlocked: false,
  sharingScreen: false,
};

/** Whether the page is in a call or on its way into one. */
export function isInCall(phase: CallPhase): boolean {
  return phase !== 'idle' && phase !== 'ended' && phase !== 'error';
}
