// Shoppers measure the nodes before they call; operators see where calls are and how long they take.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startServer, until } from '../lib/server.mjs';
import { launchChromium } from './browser.mjs';
import { at, connected, openShopper, reaches } from './pages.mjs';

let server;
let browser;
let name;

before(async () => { [server, browser] = await Promise.all([startServer(), launchChromium()]); });
after(async () => { await browser?.close(); await server?.stop(); });
beforeEach(() => { name = `Zoe ${randomUUID().slice(0, 8)}`; });
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));

async function openConsole(how = {}) {
  const context = await browser.newContext({ locale: 'en-US', ...how });
  const page = await context.newPage();
  await page.goto(`${server.http}/operator`);
  return page;
}

const row = (page) => at(page, 'call-row').filter({ hasText: name });

async function measures(page) {
  const request = page.waitForRequest((one) => one.url().endsWith('/v1/shopper/calls'));
  await at(page, 'call').click();
  return (await request).postDataJSON();
}

test('a shopper measures the nodes and sends what it found', { timeout: 60_000 }, async () => {
  const page = await openShopper(browser, server, name);
  const { edges } = await (await fetch(`${server.http}/v1/edges`)).json();
  const { probes } = await measures(page);
  assert.deepEqual(probes.map((probe) => probe.node), edges.map((edge) => edge.node));
  for (const { rtt_ms: rtt, samples } of probes) {
    assert.ok(rtt > 0 && rtt < 1_000, `a round trip on this machine: ${rtt} ms`);
    assert.ok(samples >= 3, `several tries: ${samples}`);
  }
  await reaches(page, ['waiting', 'connected']);
});

test('a shopper who cannot measure calls all the same', { timeout: 60_000 }, async () => {
  const page = await openShopper(browser, server, name, {
    before: (context) => context.route(/\/v1\/(edges|probe)/, (route) => route.abort('connectionrefused')),
  });
  assert.deepEqual((await measures(page)).probes, []);
  await reaches(page, ['waiting', 'connected']);
});

test('an operator sees a call, its parties and its delays, predicted and measured', { timeout: 120_000 }, async () => {
  await connected(browser, server, name);
  const page = await openConsole();
  await row(page).waitFor({ timeout: 10_000 });
  assert.equal(await row(page).getAttribute('data-state'), 'answered');
  await row(page).getByRole('button').click();
  await until(async () => await at(page, 'leg').count() === 2, 'a leg for each party');
  await until(async () => (await at(page, 'map-party').count()) >= 2, 'both are on the map');
  assert.ok(await at(page, 'map-node').count() >= 1);
  const measured = async () => {
    const cells = await at(page, 'leg').locator('td:last-child').allInnerTexts();
    return cells.every((cell) => /^\d/.test(cell));
  };
  await until(measured, 'both round trips are measured', 40_000);
  const predicted = await at(page, 'leg').locator('td:nth-child(3)').allInnerTexts();
  assert.ok(predicted.every((cell) => /^\d/.test(cell)), `predictions: ${predicted}`);
});

test('the console works by keyboard, and at the width of a phone', { timeout: 90_000 }, async () => {
  await connected(browser, server, name);
  const page = await openConsole({ viewport: { width: 360, height: 740 } });
  const button = row(page).getByRole('button');
  await button.waitFor({ timeout: 10_000 });
  await button.focus();
  await page.keyboard.press('Enter');
  await until(async () => await button.getAttribute('aria-pressed') === 'true', 'the call is chosen');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `nothing sticks out: ${overflow} px`);
});

test('from elsewhere the console asks for a token', { timeout: 60_000 }, async () => {
  const page = await openConsole({ extraHTTPHeaders: { 'x-forwarded-for': '203.0.113.9' } });
  await at(page, 'token').fill('not.a.token');
  await at(page, 'sign-in').click();
  await page.getByText('not accepted').waitFor({ timeout: 10_000 });
  await at(page, 'token').fill(server.token('', 'operator', { roomJoin: false, roomList: true }));
  await at(page, 'sign-in').click();
  await at(page, 'node-row').first().waitFor({ timeout: 10_000 });
});
