import type { LocalVideoTrack, RemoteVideoTrack } from 'livekit-client';
import { useEffect, useRef } from 'preact/hooks';

interface VideoProps {
  track: LocalVideoTrack | RemoteVideoTrack | null;
  label: string;
  class: string;
  testId: string;
  mirrored?: boolean;
}

/** Plays a video track; sound is played elsewhere. */
export function Video({ track, label, class: className, testId, mirrored = false }: VideoProps) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (video === null || track === null) return;
    track.attach(video);
    video.muted = true;
    return () => void track.detach(video);
  }, [track]);
  return (
    <video
      ref={element}
      class={`${className} ${mirrored ? 'mirrored' : ''}`}
      data-testid={testId}
      aria-label={label}
      autoplay
      playsInline
      muted
      hidden={track === null}
    />
  );
}

/** People expect to see themselves as in a mirror, but not what a rear camera shows. */
export function isMirrored(track: LocalVideoTrack | null): boolean {
  return track?.mediaStreamTrack.getSettings().facingMode !== 'environment';
}
