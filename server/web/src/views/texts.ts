import type { CallState, EndReason, FailureCode, Quality, Role } from '../call/state';
import type { Messages } from '../i18n/en';
import { fill } from '../i18n/locale';
import type { DeviceProblem } from '../media/device-problem';

/** What happened, and what its reader can do about it. */
export interface Advice {
  title: string;
  fix: string;
}

export function problemAdvice(t: Messages, problem: DeviceProblem): Advice {
  const advice: Record<DeviceProblem, Advice> = {
    denied: { title: t.problemDenied, fix: t.problemDeniedFix },
    'no-camera': { title: t.problemNoCamera, fix: t.problemNoCameraFix },
    'no-microphone': { title: t.problemNoMicrophone, fix: t.problemNoMicrophoneFix },
    'camera-busy': { title: t.problemCameraBusy, fix: t.problemCameraBusyFix },
    'microphone-busy': { title: t.problemMicrophoneBusy, fix: t.problemMicrophoneBusyFix },
    'insecure-page': { title: t.problemInsecurePage, fix: t.problemInsecurePageFix },
  };
  return advice[problem];
}

export function failureAdvice(t: Messages, code: FailureCode): Advice {
  const advice: Record<FailureCode, Advice> = {
    'server-away': { title: t.failServerAway, fix: t.failServerAwayFix },
    'rate-limited': { title: t.failRateLimited, fix: t.failRateLimitedFix },
    unavailable: { title: t.failUnavailable, fix: t.failUnavailableFix },
    unauthorized: { title: t.failUnauthorized, fix: t.failUnauthorizedFix },
    'call-gone': { title: t.failCallGone, fix: t.failCallGoneFix },
    'already-answered': { title: t.failAlreadyAnswered, fix: t.failAlreadyAnsweredFix },
    'media-blocked': { title: t.failMediaBlocked, fix: t.failMediaBlockedFix },
    refused: { title: t.failRefused, fix: t.failRefusedFix },
  };
  return advice[code];
}

export function endText(t: Messages, reason: EndReason | null, role: Role): string {
  switch (reason) {
    case 'peer-left':
      return fill(t.endedPeerLeft, { name: peerWord(t, role) });
    case 'removed':
      return t.endedRemoved;
    case 'opened-elsewhere':
      return t.endedElsewhere;
    default:
      return t.endedHungUp;
  }
}

export function qualityText(t: Messages, quality: Quality): string {
  const texts: Record<Quality, string> = {
    excellent: t.qualityExcellent,
    good: t.qualityGood,
    poor: t.qualityPoor,
    lost: t.qualityLost,
    unknown: t.qualityUnknown,
  };
  return texts[quality];
}

/** The sentence for a phase of a running call. */
export function phaseText(t: Messages, state: CallState, role: Role): string {
  switch (state.phase) {
    case 'requesting':
      return role === 'shopper' ? t.requesting : t.connecting;
    case 'connecting':
      return t.connecting;
    case 'waiting':
      if (state.peerMissing) return fill(t.peerMissing, { name: peerWord(t, role) });
      return role === 'shopper' ? t.waitingForAgent : t.waitingForShopper;
    case 'connected':
      return state.peer?.name ? fill(t.inCallWith, { name: state.peer.name }) : t.inCall;
    case 'reconnecting':
      return t.reconnecting;
    default:
      return '';
  }
}

/** What to call the other side when it gave no name. */
export function peerWord(t: Messages, role: Role): string {
  return role === 'shopper' ? t.agent : t.shopper;
}
