// Every page: it loads, complains of nothing, moves, and can be read by everybody.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { browser, opened, pages, settled, target } from './chromium.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
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

test('every page loads without a complaint, and shows more than its frame', async () => {
  const { page, complaints, close } = await opened(chromium);
  for (const [name, hash] of Object.entries(all)) {
    await page.goto(`${mesh.url}${hash}`);
    await settled(page);
    assert.equal(await page.locator('h1').count(), 1, name);
    assert.ok((await page.locator('main').innerText()).length > 80, `${name} shows nothing`);
    assert.deepEqual(complaints, [], name);
  }
  await close();
});

test('nothing of a page is wider than a phone', async () => {
  const { page, close } = await opened(chromium, { viewport: { width: 375, height: 812 }, hasTouch: true, isMobile: true });
  for (const [name, hash] of Object.entries(all)) {
    await page.goto(`${mesh.url}${hash}`);
    await settled(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 375, `${name} is ${wide} pixels wide`);
  }
  await close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing serious, ${colorScheme}`, async (t) => {
    for (const viewport of [{ width: 1440, height: 900 }, { width: 375, height: 812 }]) {
      const { page, close } = await opened(chromium, { colorScheme, viewport });
      for (const [name, hash] of Object.entries(all)) {
        await page.goto(`${mesh.url}${hash}`);
        await settled(page);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
        const said = violations.map(({ id, impact, nodes }) => `${name} ${viewport.width}: ${impact} ${id}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
        for (const one of said.filter((text) => !/: (serious|critical) /.test(text))) t.diagnostic(one);
        assert.deepEqual(said.filter((text) => /: (serious|critical) /.test(text)), []);
      }
      await close();
    }
  });
}

test('live values move by themselves', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}${all.node}?w=5m`);
  await settled(page);
  const first = await page.locator('main').innerText();
  await page.waitForFunction((before) => document.querySelector('main').innerText !== before, first, { timeout: 15_000 });
  const clock = await page.locator('.status p').first().innerText();
  assert.match(clock, /^Live/);
  await page.waitForFunction((before) => document.querySelector('.status p').innerText !== before, clock, { timeout: 5000 });
  await close();
});

test('first paint, reported', async (t) => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}${all.mesh}`);
  await settled(page);
  const paints = await page.evaluate(() => performance.getEntriesByType('paint').map(({ name, startTime }) => `${name} ${startTime.toFixed(0)} ms`));
  const answer = await page.evaluate(() => {
    const entry = performance.getEntriesByType('resource').find(({ name }) => name.includes('/api/v1/mesh'));
    return entry && `mesh asked at ${entry.startTime.toFixed(0)} ms, answered after ${entry.duration.toFixed(0)} ms`;
  });
  t.diagnostic([...paints, answer].join(', '));
  assert.ok(paints.length > 0);
  await close();
});
