export interface Snippet {
  name: string;
  install: string;
  code: string;
}

/** Programs that join a room on this server with unmodified SDKs. */
export function snippets(url: string): Snippet[] {
  return [
    { name: 'Python', install: 'pip install livekit livekit-api', code: python(url) },
    {
      name: 'JavaScript',
      install: 'npm install livekit-server-sdk @livekit/rtc-node',
      code: javascript(url),
    },
  ];
}

function python(url: string): string {
  return `import asyncio
from livekit import api, rtc

URL = "${url}"

async def main():
    token = (
        api.AccessToken("devkey", "secret")
        .with_identity("python-guest")
        .with_grants(api.VideoGrants(
            room_join=True, room="showroom"))
        .to_jwt()
    )
    room = rtc.Room()
    await room.connect(URL, token)
    print("Connected to room", room.name)
    await room.local_participant.send_text(
        "Bonjour!", topic="lk.chat")
    await room.disconnect()

asyncio.run(main())
`;
}

function javascript(url: string): string {
  return `import { AccessToken } from 'livekit-server-sdk';
import { dispose, Room } from '@livekit/rtc-node';

const url = '${url}';

const token = new AccessToken('devkey', 'secret', {
  identity: 'node-guest',
});
token.addGrant({ roomJoin: true, room: 'showroom' });

const room = new Room();
await room.connect(url, await token.toJwt());
console.log('Connected to room', room.name);
await room.localParticipant.sendText('Bonjour!', {
  topic: 'lk.chat',
});
await room.disconnect();
await dispose();
`;
}
