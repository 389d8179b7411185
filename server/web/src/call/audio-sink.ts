import { RemoteAudioTrack, type RemoteTrack, type Room, RoomEvent } from 'livekit-client';

/** Plays every remote audio track of the room. */
export function playRemoteAudio(room: Room): void {
  room.on(RoomEvent.TrackSubscribed, (track: RemoteTrack) => {
    if (track instanceof RemoteAudioTrack) document.body.append(track.attach());
  });
  room.on(RoomEvent.TrackUnsubscribed, (track: RemoteTrack) => {
    if (!(track instanceof RemoteAudioTrack)) return;
    for (const element of track.detach()) element.remove();
  });
}
