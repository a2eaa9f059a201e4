// A large mesh stays fluid. Reported: it depends on the machine; asserted only that it is drawn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser, opened, settled, target } from './chromium.mjs';

test('frames a second while zooming', async (t) => {
  const mesh = await target({ large: true });
  t.after(() => mesh.close());
  const chromium = await browser();
  t.after(() => chromium.close());
  const { page, complaints } = await opened(chromium);
  const begun = Date.now();
  await page.goto(`${mesh.url}#/mesh?w=5m`);
  await settled(page);
  t.diagnostic(`laid out and drawn after ${Date.now() - begun} ms: ${await page.locator('.page-sub').innerText()}`);
  const box = await page.locator('.graph canvas').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.evaluate(() => {
    globalThis.frames_ = [];
    const tick = (at) => { globalThis.frames_.push(at); globalThis.next_ = requestAnimationFrame(tick); };
    globalThis.next_ = requestAnimationFrame(tick);
  });
  for (let i = 0; i < 120; i++) await page.mouse.wheel(0, i % 60 < 30 ? -60 : 60);
  const frames = await page.evaluate(() => { cancelAnimationFrame(globalThis.next_); return globalThis.frames_; });
  const gaps = frames.slice(1).map((at, i) => at - frames[i]).sort((a, b) => a - b);
  const rate = (1000 * gaps.length) / (frames.at(-1) - frames[0]);
  t.diagnostic(`${rate.toFixed(0)} frames a second over ${((frames.at(-1) - frames[0]) / 1000).toFixed(1)} s; slowest twentieth ${gaps[Math.floor(gaps.length * 0.95)].toFixed(0)} ms`);
  assert.ok(frames.length > 10);
  assert.deepEqual(complaints, []);
});

test('a live refresh moves nothing', async (t) => {
  const mesh = await target();
  t.after(() => mesh.close());
  const chromium = await browser();
  t.after(() => chromium.close());
  const { page } = await opened(chromium);
  await page.goto(`${mesh.url}#/mesh?w=5m`);
  await settled(page);
  // The centre of the field that is drawn, from its pixels: names and colours may change, places not.
  const places = async () => {
    await page.locator('.graph canvas').focus();
    await page.keyboard.press('ArrowRight');
    await page.waitForSelector('.graph-tip');
    const place = await page.$eval('.graph-tip', (tip) => `${tip.textContent.split(' ·')[0]} ${tip.style.left} ${tip.style.top}`);
    await page.evaluate(() => document.activeElement.blur());
    return place;
  };
  const before = await places();
  const answers = page.waitForResponse((response) => response.url().includes('/api/v1/mesh'), { timeout: 15_000 });
  await answers;
  await settled(page);
  assert.equal(await places(), before);
});
