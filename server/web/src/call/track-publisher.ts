import type { LocalTrack, Room } from 'livekit-client';
import type { LocalMedia } from '../media/local-media';

/** Publishes the devices of the page into the room, also those that are turned on later. */
export class TrackPublisher {
  private readonly published = new Set<LocalTrack>();
  private unsubscribe: (() => void) | null = null;

  constructor(
    private readonly room: Room,
    private readonly media: LocalMedia,
  ) {}

  start(): void {
    this.stop();
    this.unsubscribe = this.media.subscribe(() => this.sync());
    this.sync();
  }

  stop(): void {
    this.unsubscribe?.();
    this.unsubscribe = null;
    this.published.clear();
  }

  private sync(): void {
    const { camera, microphone } = this.media.get();
    for (const track of [microphone, camera]) {
      if (track === null || track.isMuted || this.published.has(track)) continue;
      this.published.add(track);
      this.room.localParticipant.publishTrack(track).catch(() => this.published.delete(track));
    }
  }
}
