// Takes the picture of the operator console from a real call between Tokyo and Paris: `node picture-planet.mjs FILE`.

import { sleep } from '../lib/server.mjs';
import { launchChromium } from './browser.mjs';
import { answer, at, openDesk, openShopper, reaches } from './pages.mjs';
import { startDemo } from './planet.mjs';

const [demo, browser] = await Promise.all([startDemo(), launchChromium()]);
const shopper = await openShopper(browser, demo.tokyo, 'Hanako');
const desk = await openDesk(browser, demo.paris);
await at(shopper, 'call').click();
await answer(desk, 'Hanako');
await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
// Round trips are read every few seconds.
await sleep(12_000);
const operator = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US' })).newPage();
await operator.goto(`${demo.virginia.http}/operator`);
await sleep(4_000);
await operator.screenshot({ path: process.argv[2] });
await operator.setViewportSize({ width: 390, height: 844 });
await sleep(1_000);
await operator.screenshot({ path: process.argv[2].replace('.png', '-phone.png') });
await browser.close();
await demo.end();
