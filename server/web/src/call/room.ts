import { Room } from 'livekit-client';

declare global {
  interface Window {
    /** A handle for debugging from the console: the room of the current call. */
    __tradewind?: { room: Room };
  }
}

export function createRoom(): Room {
  const room = new Room({
    adaptiveStream: true,
    dynacast: true,
    publishDefaults: { simulcast: true, videoCodec: 'vp8' },
    // Devices belong to the page, which shows them before and after a call too.
    stopLocalTrackOnUnpublish: false,
  });
  window.__tradewind = { room };
  return room;
}
