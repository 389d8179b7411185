// A bare application on livekit-client, driven by the tests through these functions.

const { E2EE_EVENT, ExternalE2EEKeyProvider, Room, RoomEvent, Track } = LivekitClient;

window.events = [];

window.join = async ({ url, token, options = {}, connect = {}, key, watch = true }) => {
  const settings = { dynacast: false, adaptiveStream: false, ...options };
  if (key) {
    const keyProvider = new ExternalE2EEKeyProvider();
    await keyProvider.setKey(key);
    settings.e2ee = { keyProvider, worker: new Worker('/livekit-client.e2ee.worker.js') };
  }
  const room = new Room(settings);
  window.room = room;
  for (const event of Object.values(RoomEvent)) {
    room.on(event, (first) => window.events.push([event, typeof first === 'object' ? first?.identity : first]));
  }
  room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
    if (!watch) return;
    const element = track.attach();
    element.dataset.of = `${participant.identity} ${publication.source}`;
    document.body.append(element);
  });
  room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
  if (key) await room.setE2EEEnabled(true);
  await room.connect(url, token, connect);
  return room.localParticipant.sid;
};

window.publish = async ({ audio = true, video = true, height = 360, publish = {} } = {}) => {
  const local = window.room.localParticipant;
  const resolution = { width: (height * 16) / 9, height, frameRate: 15 };
  if (audio) await local.setMicrophoneEnabled(true);
  if (video) await local.setCameraEnabled(true, { resolution }, publish);
};

window.publication = (identity, source) =>
  window.room.remoteParticipants.get(identity)?.getTrackPublication(source);

window.told = (event) => window.events.filter(([name]) => name === event).length;

window.cameraOf = (identity) => window.publication(identity, Track.Source.Camera);
