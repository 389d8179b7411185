import { type RemoteParticipant, type Room, RoomEvent } from 'livekit-client';

/** Tells a hang-up from a lost line or a reload: who hangs up says so first. */
const TOPIC = 'tradewind.hang-up';
const FLUSH_MS = 150;

export async function sayGoodbye(room: Room): Promise<void> {
  if (room.remoteParticipants.size === 0) return;
  const sent = room.localParticipant
    .publishData(new Uint8Array([1]), { reliable: true, topic: TOPIC })
    .then(() => new Promise((resolve) => setTimeout(resolve, FLUSH_MS)));
  const timeout = new Promise((resolve) => setTimeout(resolve, 4 * FLUSH_MS));
  await Promise.race([sent, timeout]).catch(() => {
    // A line that is already broken carries no goodbye; the other side notices by itself.
  });
}

export function onGoodbye(room: Room, heard: (from: RemoteParticipant) => void): void {
  room.on(RoomEvent.DataReceived, (_payload, participant, _kind, topic) => {
    if (topic === TOPIC && participant !== undefined) heard(participant);
  });
}
