import { DisconnectReason } from 'livekit-client';
import type { EndReason, FailureCode } from './state';

export type Disconnect = { end: EndReason } | { failure: FailureCode } | 'page-left';

/** What a lost room means for the call: it is over, it failed and may be tried again, or only the page went. */
export function readDisconnect(reason: DisconnectReason | undefined): Disconnect {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return 'page-left';
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { end: 'peer-left' };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { end: 'removed' };
    case DisconnectReason.DUPLICATE_IDENTITY:
      return { end: 'opened-elsewhere' };
    case DisconnectReason.CONNECTION_TIMEOUT:
    case DisconnectReason.MEDIA_FAILURE:
      return { failure: 'media-blocked' };
    default:
      return { failure: 'server-away' };
  }
}
