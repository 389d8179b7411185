import {
  ParticipantKind,
  type RemoteParticipant,
  RemoteVideoTrack,
  type Room,
  Track,
} from 'livekit-client';
import type { Peer, Quality, Role } from './state';

const ROLE_ATTRIBUTE = 'tradewind.role';

/** Finds who the call is with: the other role, or else a guest of any other SDK without a role. */
export function findPeer(room: Room, ownRole: Role): RemoteParticipant | null {
  const others = [...room.remoteParticipants.values()].filter(
    (participant) =>
      participant.kind !== ParticipantKind.EGRESS &&
      participant.attributes[ROLE_ATTRIBUTE] !== ownRole,
  );
  return (
    others.find((participant) => ROLE_ATTRIBUTE in participant.attributes) ?? others[0] ?? null
  );
}

export function describePeer(participant: RemoteParticipant): Peer {
  const camera = shownVideo(participant, Track.Source.Camera);
  return {
    identity: participant.identity,
    name: participant.name ?? '',
    camera,
    screen: shownVideo(participant, Track.Source.ScreenShare),
    microphoneOn: participant.isMicrophoneEnabled,
    videoPaused: camera?.streamState === Track.StreamState.Paused,
    quality: participant.connectionQuality as Quality,
  };
}

function shownVideo(participant: RemoteParticipant, source: Track.Source): RemoteVideoTrack | null {
  const publication = participant.getTrackPublication(source);
  if (publication === undefined || publication.isMuted) return null;
  return publication.track instanceof RemoteVideoTrack ? publication.track : null;
}
