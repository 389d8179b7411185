import { ConnectionState, type DisconnectReason, type Room, RoomEvent } from 'livekit-client';
import type { CallGrant } from '../api/calls';
import type { LocalMedia } from '../media/local-media';
import { Store } from '../util/store';
import { playRemoteAudio } from './audio-sink';
import { Chat } from './chat';
import { readDisconnect } from './disconnect';
import { failureOf } from './failure';
import { onGoodbye, sayGoodbye } from './goodbye';
import { describePeer, findPeer } from './peer';
import { createRoom } from './room';
import { savedCall } from './saved-call';
import {
  type CallState,
  type EndReason,
  type Failure,
  initialCallState,
  isInCall,
  type Quality,
  type Role,
} from './state';
import { TrackPublisher } from './track-publisher';

/** How long a peer that vanished may take to come back, for example over a reload. */
const PEER_RETURN_MS = 20_000;

const CHANGES = [
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantAttributesChanged,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.TrackStreamStateChanged,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.AudioPlaybackStatusChanged,
  RoomEvent.Reconnected,
] as const;

/** One side of a call, from asking for it to hanging up. */
export class CallSession extends Store<CallState> {
  readonly room: Room = createRoom();
  readonly chat = new Chat(this.room);
  private readonly saved;
  private readonly publisher: TrackPublisher;
  private request: (() => Promise<CallGrant>) | null = null;
  private attempt = 0;
  private peerTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly role: Role,
    readonly media: LocalMedia,
  ) {
    super(initialCallState);
    this.saved = savedCall(role);
    this.publisher = new TrackPublisher(this.room, media);
    playRemoteAudio(this.room);
    onGoodbye(this.room, (from) => {
      if (from.identity === this.get().peer?.identity) void this.finish('peer-left');
    });
    for (const event of CHANGES) this.room.on(event, () => this.refresh());
    this.room.on(RoomEvent.SignalReconnecting, () => this.lost());
    this.room.on(RoomEvent.Reconnecting, () => this.lost());
    this.room.on(RoomEvent.Disconnected, (reason) => this.disconnected(reason));
    // A page that comes back from the browser's cache, or from a freeze, goes on with its call.
    window.addEventListener('pageshow', (event) => event.persisted && void this.resume());
    document.addEventListener('resume', () => void this.resume());
  }

  /** Makes or takes a call; `request` asks the server for the grant. */
  async start(request: () => Promise<CallGrant>): Promise<void> {
    if (isInCall(this.get().phase)) return;
    this.request = request;
    this.chat.clear();
    const attempt = ++this.attempt;
    this.set({ ...initialCallState, phase: 'requesting' });
    try {
      const [grant] = await Promise.all([request(), this.media.start()]);
      if (attempt !== this.attempt) return;
      this.saved.save({ grant, connectedAt: null });
      await this.join(grant, null);
    } catch (error) {
      if (attempt === this.attempt) this.fail(failureOf(error));
    }
  }

  /** Rejoins the call that this window was in before its page was reloaded, if any. */
  async resume(): Promise<void> {
    const call = this.saved.load();
    if (call === null || this.room.state !== ConnectionState.Disconnected) return;
    this.attempt++;
    await this.join(call.grant, call.connectedAt);
  }

  /** Tries again after a failure: the same call while it lasts, otherwise a new one. */
  async retry(): Promise<void> {
    if (this.saved.load() !== null) await this.resume();
    else if (this.request !== null) await this.start(this.request);
  }

  async hangUp(): Promise<void> {
    await sayGoodbye(this.room);
    await this.finish('hung-up');
  }

  /** Leaves an ended or failed call behind. */
  reset(): void {
    this.saved.clear();
    this.chat.clear();
    this.set(initialCallState);
  }

  async toggleScreenShare(): Promise<void> {
    const local = this.room.localParticipant;
    try {
      await local.setScreenShareEnabled(!local.isScreenShareEnabled);
    } catch {
      // Closing the browser's picker is an answer, not an error.
    }
    this.refresh();
  }

  private async join(grant: CallGrant, connectedAt: number | null): Promise<void> {
    const attempt = this.attempt;
    this.set({ ...initialCallState, phase: 'connecting', connectedAt });
    try {
      await this.room.connect(grant.url, grant.token);
      if (attempt !== this.attempt) return;
      this.set({ phase: 'waiting' });
      this.refresh();
      void this.media.start();
      this.publisher.start();
    } catch (error) {
      if (attempt === this.attempt) this.fail(failureOf(error));
    }
  }

  private refresh(): void {
    const { phase, peer: before, connectedAt } = this.get();
    if (phase === 'connecting' || !isInCall(phase) || this.room.state !== ConnectionState.Connected)
      return;
    const participant = findPeer(this.room, this.role);
    const peer = participant === null ? null : describePeer(participant);
    if (peer !== null && connectedAt === null) this.markConnected();
    if (peer !== null) this.stopPeerTimer();
    else if (before !== null) this.startPeerTimer();
    this.set({
      phase: peer === null ? 'waiting' : 'connected',
      peer,
      peerMissing: peer === null && (before !== null || this.get().peerMissing),
      quality: this.room.localParticipant.connectionQuality as Quality,
      playbackBlocked: !this.room.canPlaybackAudio,
      sharingScreen: this.room.localParticipant.isScreenShareEnabled,
    });
  }

  private markConnected(): void {
    const connectedAt = Date.now();
    this.set({ connectedAt });
    const call = this.saved.load();
    if (call !== null) this.saved.save({ ...call, connectedAt });
  }

  private lost(): void {
    if (isInCall(this.get().phase)) this.set({ phase: 'reconnecting', quality: 'lost' });
  }

  private disconnected(reason: DisconnectReason | undefined): void {
    const { phase } = this.get();
    // While connecting, the rejected connect tells more than this event.
    if (!isInCall(phase) || phase === 'connecting' || phase === 'requesting') return;
    const disconnect = readDisconnect(reason);
    // Hanging up ends the call before the room is left; without that, the browser put the page away.
    if (disconnect === 'page-left') return;
    if ('end' in disconnect) void this.finish(disconnect.end);
    else this.fail({ code: disconnect.failure, detail: '', retryAfterSeconds: null });
  }

  private async finish(endReason: EndReason): Promise<void> {
    this.attempt++;
    const { connectedAt } = this.get();
    const durationMs = connectedAt === null ? 0 : Date.now() - connectedAt;
    this.saved.clear();
    this.leave();
    this.set({ ...initialCallState, phase: 'ended', endReason, connectedAt, durationMs });
    await this.room.disconnect(false);
  }

  private fail(failure: Failure): void {
    this.attempt++;
    // Only a call whose server cannot be reached at the moment is worth returning to.
    if (failure.code !== 'server-away' && failure.code !== 'media-blocked') this.saved.clear();
    this.leave();
    this.set({ ...initialCallState, phase: 'error', failure });
    void this.room.disconnect(false);
  }

  private leave(): void {
    this.stopPeerTimer();
    this.publisher.stop();
    if (this.role === 'shopper') this.media.release();
  }

  private startPeerTimer(): void {
    this.stopPeerTimer();
    this.peerTimer = setTimeout(() => void this.finish('peer-left'), PEER_RETURN_MS);
  }

  private stopPeerTimer(): void {
    clearTimeout(this.peerTimer);
  }
}
