// Everything can be reached and done with the keyboard alone, and one sees where one is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, opened, pages, past, settled, target } from './chromium.mjs';

let chromium;
let mesh;
let all;

before(async () => {
  mesh = await target();
  chromium = await browser();
  all = await pages(mesh.url);
});
after(async () => {
  await chromium?.close();
  mesh?.close();
});

test('Tab reaches every control of every page, visibly', async () => {
  const { from, to } = past();
  const { page, close } = await opened(chromium);
  for (const [name, hash] of Object.entries(all)) {
    await page.goto('about:blank');
    await page.goto(`${mesh.url}${hash}${hash.includes('?') ? '&' : '?'}from=${from}&to=${to}`);
    await settled(page);
    const wanted = await page.evaluate(() => {
      const controls = [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
        .filter((one) => !one.disabled && one.getClientRects().length > 0 && getComputedStyle(one).visibility !== 'hidden');
      controls.forEach((one, i) => { one.dataset.reach = String(i); });
      return controls.length;
    });
    assert.ok(wanted > 15, name);
    const reached = new Set();
    let unseen = '';
    for (let i = 0; i < wanted + 30; i++) {
      await page.keyboard.press('Tab');
      const [at, outlined, what] = await page.evaluate(() => {
        const one = document.activeElement;
        const style = getComputedStyle(one);
        return [one.dataset.reach, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1, one.outerHTML.slice(0, 120)];
      });
      if (at !== undefined && !outlined) unseen ||= what;
      if (at !== undefined) reached.add(at);
    }
    const left = await page.evaluate((seen) => [...document.querySelectorAll('[data-reach]')].filter((one) => !seen.includes(one.dataset.reach)).map((one) => one.outerHTML.slice(0, 120)), [...reached]);
    assert.deepEqual(left, [], name);
    assert.equal(unseen, '', `${name}: no outline`);
  }
  await close();
});

test('the first step skips to the page', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/nodes`);
  await settled(page);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  assert.match(page.url(), /#\/nodes/);
  await close();
});

test('shortcuts: pages, window, live, search, colours, help', async () => {
  const { page, close } = await opened(chromium, { colorScheme: 'light' });
  await page.goto(`${mesh.url}#/mesh`);
  await settled(page);
  for (const [key, title] of [['n', 'Nodes'], ['w', 'Workloads'], ['y', 'Waypoints'], ['p', 'Policies'], ['c', 'Certificates'], ['e', 'Events'], ['m', 'Mesh']]) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await page.waitForFunction((text) => document.querySelector('h1')?.textContent === text, title);
  }
  await page.keyboard.press('3');
  assert.match(page.url(), /w=1h/);
  await page.keyboard.press('+');
  assert.match(page.url(), /w=30m/);
  await page.keyboard.press('[');
  assert.match(page.url(), /from=\d+&to=\d+/);
  await page.keyboard.press('l');
  assert.match(page.url(), /w=30m/);
  await page.keyboard.press('t');
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  await close();
});

test('the graph: walk, open details, go to the page', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/mesh`);
  await settled(page);
  await page.locator('.graph canvas').focus();
  for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp']) await page.keyboard.press(key);
  await page.waitForSelector('.graph-tip');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement?.classList.contains('panel'));
  await page.keyboard.press('Escape');
  await page.waitForSelector('.panel', { state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'CANVAS');
  await close();
});

test('a chart: arrow keys move the cursor of all charts', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}${all.node}`);
  await settled(page);
  await page.locator('.chart-plot').first().focus();
  for (let i = 0; i < 30; i++) await page.keyboard.press('ArrowRight');
  const lefts = await page.$$eval('.u-cursor-x', (lines) => lines.map((line) => line.style.transform));
  assert.ok(lefts.length > 3);
  assert.equal(new Set(lefts.map((text) => Math.round(parseFloat(text.slice(10)) / 4))).size, 1, lefts.join());
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash.includes('from='));
  await close();
});
