// Measures the pages of AMBIT_URL, or of the large mesh of dev/serve.mjs, in a headless browser:
// first paint, the time until a page shows its answer, and frames a second while zooming.
//   node tests/measure.mjs [TIMES]
// What it found is a table on standard error, and a line of JSON on standard output.
import { browser, opened, pages, settled, target } from './browser/chromium.mjs';

const times = Number(process.argv[2] ?? 5);
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Opens a page as one does for the first time: with nothing in the cache. */
async function visit(chromium, address) {
  const { page, complaints, close } = await opened(chromium);
  const begun = performance.now();
  await page.goto(address);
  await settled(page);
  const shownMs = performance.now() - begun;
  const firstPaintMs = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN);
  await close();
  if (complaints.length > 0) throw new Error(`${address}: ${complaints.join('; ')}`);
  return { firstPaintMs, shownMs };
}

/** Frames a second while the wheel turns over the graph. */
async function zoom(chromium, address) {
  const { page, close } = await opened(chromium);
  await page.goto(address);
  await settled(page);
  const sub = await page.locator('.page-sub').innerText();
  const box = await page.locator('.graph canvas').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.evaluate(() => {
    globalThis.frames_ = [];
    const tick = (at) => { globalThis.frames_.push(at); globalThis.next_ = requestAnimationFrame(tick); };
    globalThis.next_ = requestAnimationFrame(tick);
  });
  for (let i = 0; i < 240; i++) await page.mouse.wheel(0, i % 60 < 30 ? -60 : 60);
  const frames = await page.evaluate(() => { cancelAnimationFrame(globalThis.next_); return globalThis.frames_; });
  await close();
  const gaps = frames.slice(1).map((at, i) => at - frames[i]).sort((a, b) => a - b);
  return {
    shows: sub.replace(/\s+/g, ' '),
    framesPerSecond: (1000 * gaps.length) / (frames.at(-1) - frames[0]),
    slowestTwentiethMs: gaps[Math.floor(gaps.length * 0.95)],
  };
}

const mesh = await target({ large: true });
const chromium = await browser();
try {
  const found = { pages: {} };
  for (const [name, hash] of Object.entries(await pages(mesh.url))) {
    const visits = [];
    for (let i = 0; i < times; i++) visits.push(await visit(chromium, `${mesh.url}${hash}`));
    const of = (key) => visits.map((one) => one[key]);
    found.pages[name] = {
      firstPaintMs: Math.round(median(of('firstPaintMs'))), slowestFirstPaintMs: Math.round(Math.max(...of('firstPaintMs'))),
      shownMs: Math.round(median(of('shownMs'))),
    };
    console.error(`${name.padEnd(14)} first paint ${found.pages[name].firstPaintMs} ms (slowest ${found.pages[name].slowestFirstPaintMs}), answer shown after ${found.pages[name].shownMs} ms`);
  }
  found.zoom = await zoom(chromium, `${mesh.url}#/mesh?w=1h`);
  console.error(`${found.zoom.shows}: ${found.zoom.framesPerSecond.toFixed(0)} frames a second while zooming, slowest twentieth ${found.zoom.slowestTwentiethMs.toFixed(0)} ms`);
  console.log(JSON.stringify(found));
} finally {
  await chromium.close();
  mesh.close();
}
