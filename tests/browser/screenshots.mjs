// Takes the pictures of the README from a real call: `node screenshots.mjs FOLDER`.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { sleep, startServer } from '../lib/server.mjs';
import { launchChromium } from './browser.mjs';
import { answer, at, openDesk, openShopper, plays, reaches } from './pages.mjs';

const WIDTH = 640;
const HEIGHT = 480;

/** A Y4M clip of somebody in front of a wall, as plain shapes in the given colours (Y, U, V). */
function portrait(file, { wall, clothes }) {
  const skin = [190, 112, 152];
  const hair = [52, 130, 138];
  const frames = [];
  for (let frame = 0; frame < 20; frame += 1) {
    const sway = 4 * Math.sin((frame / 20) * 2 * Math.PI);
    const [x, y] = [WIDTH / 2 + sway, HEIGHT * 0.42];
    const colour = (px, py) => {
      const within = (cx, cy, rx, ry) => ((px - cx) / rx) ** 2 + ((py - cy) / ry) ** 2 <= 1;
      if (within(x, y + 8, 78, 100)) return within(x, y - 66, 84, 58) ? hair : skin;
      if (within(x, y - 16, 96, 112)) return hair;
      if (within(x, HEIGHT * 1.02, 190, 170)) return clothes;
      return [wall[0] - Math.round((60 * py) / HEIGHT), wall[1], wall[2]];
    };
    const plane = (step, channel) => Buffer.from(Array.from({ length: (WIDTH / step) * (HEIGHT / step) },
      (_, at) => colour((at % (WIDTH / step)) * step, Math.floor(at / (WIDTH / step)) * step)[channel]));
    frames.push(Buffer.from('FRAME\n'), plane(1, 0), plane(2, 1), plane(2, 2));
  }
  fs.writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F20:1 Ip A1:1 C420\n`), ...frames]));
  return file;
}

const folder = process.argv[2];
fs.mkdirSync(folder, { recursive: true });
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'pictures-'));
const [server, shoppers, agents] = await Promise.all([
  startServer(),
  launchChromium({ picture: portrait(path.join(scratch, 'shopper.y4m'), { wall: [200, 118, 140], clothes: [90, 150, 120] }) }),
  launchChromium({ picture: portrait(path.join(scratch, 'agent.y4m'), { wall: [170, 140, 120], clothes: [70, 120, 165] }) }),
]);
const shopper = await openShopper(shoppers, server, 'Aiko');
await shopper.setViewportSize({ width: 390, height: 844 });
const desk = await openDesk(agents, server);
await desk.setViewportSize({ width: 1280, height: 800 });
await at(shopper, 'call').click();
await answer(desk, 'Aiko');
await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
await Promise.all([plays(shopper, 'remote-video'), plays(desk, 'remote-video'), plays(shopper, 'local-video')]);
for (const [page, text] of [[shopper, 'Does the blue one come in size 38?'], [desk, 'Yes, it ships from Lyon tomorrow.']]) {
  await at(page, 'chat-input').fill(text);
  await at(page, 'chat-send').click();
  await sleep(500);
}
await sleep(2_500);
await shopper.screenshot({ path: path.join(folder, 'call-phone.png') });
await desk.screenshot({ path: path.join(folder, 'call-desktop.png') });
const landing = await (await shoppers.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
await landing.goto(`${server.http}/`);
await sleep(800);
await landing.screenshot({ path: path.join(scratch, 'landing.png') });
console.log(`landing page: ${path.join(scratch, 'landing.png')}`);
await Promise.all([shoppers.close(), agents.close()]);
await server.stop();
