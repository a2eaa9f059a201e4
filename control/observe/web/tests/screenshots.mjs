// Writes screenshots of all pages of AMBIT_URL into a directory: light and dark, desktop and phone.
//   node tests/screenshots.mjs DIRECTORY [PAGE ...]
// Without AMBIT_URL of the mesh of dev/serve.mjs; FULL=1 takes whole pages, not only the screen.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { browser, pages, settled, target } from './browser/chromium.mjs';

const [directory, ...only] = process.argv.slice(2);
if (!directory) throw new Error('name the directory to write to');
mkdirSync(directory, { recursive: true });
const sizes = { desktop: { width: 1440, height: 900 }, phone: { width: 375, height: 812 } };

const { url, close } = await target({ large: process.env.LARGE === '1', hostile: process.env.HOSTILE === '1', failing: process.env.FAILING === '1' });
const chromium = await browser();
const all = Object.entries(await pages(url)).filter(([name]) => only.length === 0 || only.includes(name));
for (const [size, viewport] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await chromium.newContext({ viewport, colorScheme, deviceScaleFactor: Number(process.env.SCALE ?? 1), reducedMotion: 'reduce' });
    const page = await context.newPage();
    for (const [name, hash] of all) {
      await page.goto(`${url}${hash}`);
      await settled(page);
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(directory, `${name}-${size}-${colorScheme}.png`), fullPage: process.env.FULL === '1' });
    }
    await context.close();
  }
}
await chromium.close();
close();
console.log(`${all.length * 4} screenshots in ${directory}`);
