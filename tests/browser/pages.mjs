// The shopper page and the agent desk, as a person uses them.

import { until } from '../lib/server.mjs';
import { watchPeers } from './browser.mjs';

const PHASE_MS = 20_000;

export const at = (page, id) => page.locator(`[data-testid="${id}"]`);

export const phaseOf = (page) => at(page, 'status').first().getAttribute('data-phase').catch(() => null);

export async function reaches(page, phases, ms = PHASE_MS) {
  const wanted = [phases].flat();
  let phase;
  await until(async () => wanted.includes(phase = await phaseOf(page)), `the phase ${wanted}`, ms)
    .catch((reason) => { throw new Error(`${reason.message}; it is ${phase}`); });
}

async function open(browser, url, { cable, devices = true, before } = {}) {
  const context = await browser.newContext({
    // The cable is another origin than the page, which the page's policy rightly forbids.
    bypassCSP: Boolean(cable),
    locale: 'en-US', permissions: devices ? ['camera', 'microphone'] : [] });
  if (cable) {
    // The grant names the server itself; the cable is put in between.
    await context.route(/\/v1\/(shopper|desk)\/calls/, async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      const reply = await route.fetch();
      const grant = await reply.json();
      return route.fulfill({ response: reply, json: { ...grant, url: `ws://127.0.0.1:${cable.port}` } });
    });
  }
  await before?.(context);
  const page = await context.newPage();
  await page.addInitScript(watchPeers, {});
  await page.goto(url);
  return page;
}

export async function openShopper(browser, server, name, how) {
  const page = await open(browser, `${server.http}/call`, how);
  await at(page, 'name').fill(name);
  return page;
}

export async function openDesk(browser, server, how) {
  const page = await open(browser, `${server.http}/desk`, how);
  await at(page, 'agent-name').fill('Agnes');
  if (process.env.TRADEWIND_DESK_KEY) await at(page, 'access-key').fill(process.env.TRADEWIND_DESK_KEY);
  await at(page, 'go-online').click();
  await at(page, 'waiting-list').waitFor({ state: 'attached' });
  return page;
}

export async function answer(desk, name) {
  const item = at(desk, 'waiting-item').filter({ hasText: name });
  await at(item, 'answer').click({ timeout: PHASE_MS });
}

/** A shopper and an agent who talk to each other. */
export async function connected(browser, server, name, how) {
  const shopper = await openShopper(browser, server, name, how);
  const desk = await openDesk(browser, server);
  await at(shopper, 'call').click();
  await reaches(shopper, ['waiting', 'connected']);
  await answer(desk, name);
  await Promise.all([reaches(shopper, 'connected'), reaches(desk, 'connected')]);
  return { shopper, desk };
}

/** Waits until an element shows a moving picture. */
export async function plays(page, id) {
  const video = at(page, id);
  const time = () => video.evaluate((element) => (element.videoWidth > 0 ? element.currentTime : 0)).catch(() => 0);
  const start = await time();
  await until(async () => (await time()) > start, `${id} plays`, 15_000);
}

/** A picture of the given size as a file for an input, made in the page itself. */
export async function picture(page, width, height) {
  const bytes = await page.evaluate(async ([w, h]) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: w, height: h });
    const brush = canvas.getContext('2d');
    brush.fillStyle = 'orange';
    brush.fillRect(0, 0, w, h);
    const blob = await new Promise((done) => { canvas.toBlob(done, 'image/png'); });
    return [...new Uint8Array(await blob.arrayBuffer())];
  }, [width, height]);
  return { name: 'thing.png', mimeType: 'image/png', buffer: Buffer.from(bytes) };
}
