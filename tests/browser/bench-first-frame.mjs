// Measures connect() to the first decoded frame of somebody who already sends.
// Prints one JSON line: {"runs", "median_ms", "p95_ms", "min_ms", "max_ms"}.

import { randomUUID } from 'node:crypto';
import { startServer, until } from '../lib/server.mjs';
import { launchChromium, receives, servePage, stats, watchPeers } from './browser.mjs';

const RUNS = Number(process.env.RUNS ?? 20);

const [server, site, browser] = await Promise.all([startServer(), servePage(), launchChromium()]);
const room = `bench-${randomUUID()}`;

async function open() {
  const page = await browser.newPage();
  await page.addInitScript(watchPeers, {});
  await page.goto(site.url);
  return page;
}

const entry = (identity) => ({ url: server.url, token: server.token(room, identity) });

try {
  const sender = await open();
  await sender.evaluate((how) => window.join(how), entry('sender'));
  await sender.evaluate(() => window.publish({ audio: false }));
  await until(async () => Object.values((await stats(sender)).layers).some(({ frames }) => frames > 30), 'the sender sends');
  const times = [];
  for (let run = 0; run < RUNS; run += 1) {
    const page = await open();
    times.push(await page.evaluate(async (how) => {
      const start = performance.now();
      const shown = new Promise((done) => {
        new MutationObserver((_, watcher) => {
          const video = document.querySelector('video');
          if (!video) return;
          watcher.disconnect();
          video.requestVideoFrameCallback(() => done(performance.now() - start));
        }).observe(document.body, { childList: true });
      });
      await window.join(how);
      return shown;
    }, entry(`watcher-${run}`)));
    if (run === 0) await receives(page, 'the watcher', { audio: false });
    await page.close();
  }
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.min(times.length - 1, Math.ceil(part * times.length) - 1)]);
  console.log(JSON.stringify({
    runs: RUNS, median_ms: at(0.5), p95_ms: at(0.95), min_ms: at(1 / RUNS), max_ms: at(1) }));
} finally {
  await browser.close();
  site.close();
  await server.stop();
}
