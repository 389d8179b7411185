import type { ByteStreamReader, Room, TextStreamReader } from 'livekit-client';
import { isPhotoType, PHOTO_LIMIT_BYTES, preparePhoto } from '../media/photo';
import { Store } from '../util/store';

const CHAT_TOPIC = 'lk.chat';
const PHOTO_TOPIC = 'photo';

export interface ChatMessage {
  key: number;
  own: boolean;
  sender: string;
  sentAt: number;
  text: string;
  photoUrl: string | null;
  delivery: 'sending' | 'done' | 'failed';
  /** Share of a photo that is through, 0 to 1. */
  progress: number;
}

export interface ChatState {
  messages: ChatMessage[];
  rejectedFile: boolean;
}

/** Text messages and product photos over the data channels of the room. */
export class Chat extends Store<ChatState> {
  private nextKey = 0;

  constructor(private readonly room: Room) {
    super({ messages: [], rejectedFile: false });
    room.registerTextStreamHandler(CHAT_TOPIC, (reader, { identity }) => {
      void this.receiveText(reader, identity);
    });
    room.registerByteStreamHandler(PHOTO_TOPIC, (reader, { identity }) => {
      void this.receivePhoto(reader, identity);
    });
  }

  async sendText(text: string): Promise<void> {
    const key = this.add({ own: true, text, delivery: 'sending' });
    await this.deliver(key, () => this.room.localParticipant.sendText(text, { topic: CHAT_TOPIC }));
  }

  async sendPhoto(file: File): Promise<void> {
    let photo: File;
    try {
      photo = await preparePhoto(file);
    } catch {
      this.set({ rejectedFile: true });
      return;
    }
    this.set({ rejectedFile: false });
    const photoUrl = URL.createObjectURL(photo);
    const key = this.add({ own: true, photoUrl, delivery: 'sending' });
    await this.deliver(key, () =>
      this.room.localParticipant.sendFile(photo, {
        topic: PHOTO_TOPIC,
        mimeType: photo.type,
        onProgress: (progress) => this.update(key, { progress }),
      }),
    );
  }

  clear(): void {
    for (const { photoUrl } of this.get().messages) {
      if (photoUrl !== null) URL.revokeObjectURL(photoUrl);
    }
    this.set({ messages: [], rejectedFile: false });
  }

  private async receiveText(reader: TextStreamReader, identity: string): Promise<void> {
    const text = (await reader.readAll()).trim();
    if (text !== '') this.add({ sender: this.nameOf(identity), text });
  }

  private async receivePhoto(reader: ByteStreamReader, identity: string): Promise<void> {
    const { mimeType, size } = reader.info;
    if (!isPhotoType(mimeType) || (size ?? 0) > PHOTO_LIMIT_BYTES) return;
    const key = this.add({ sender: this.nameOf(identity), delivery: 'sending' });
    reader.onProgress = (progress) => this.update(key, { progress: progress ?? 0 });
    try {
      const parts = (await reader.readAll()) as BlobPart[];
      const photoUrl = URL.createObjectURL(new Blob(parts, { type: mimeType }));
      this.update(key, { photoUrl, delivery: 'done' });
    } catch {
      this.update(key, { delivery: 'failed' });
    }
  }

  private async deliver(key: number, send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
      this.update(key, { delivery: 'done' });
    } catch {
      this.update(key, { delivery: 'failed' });
    }
  }

  private nameOf(identity: string): string {
    return this.room.getParticipantByIdentity(identity)?.name ?? '';
  }

  private add(message: Partial<ChatMessage>): number {
    const key = this.nextKey++;
    const blank = { own: false, sender: '', text: '', photoUrl: null, progress: 0 };
    const added = { ...blank, key, sentAt: Date.now(), delivery: 'done' as const, ...message };
    this.set({ messages: [...this.get().messages, added] });
    return key;
  }

  private update(key: number, patch: Partial<ChatMessage>): void {
    const change = (message: ChatMessage) =>
      message.key === key ? { ...message, ...patch } : message;
    this.set({ messages: this.get().messages.map(change) });
  }
}
