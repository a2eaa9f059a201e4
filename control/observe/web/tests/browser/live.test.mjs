// A refusal is seen within two seconds, with who was refused and by which policy.
//   AMBIT_URL: also AMBIT_REFUSE, a command that makes a refusal, and AMBIT_REFUSED_IDENTITY and
//   AMBIT_REFUSED_POLICY, what must be shown of it. Without them this is skipped there.
import assert from 'node:assert/strict';
import { exec } from 'node:child_process';
import { promisify } from 'node:util';
import { test } from 'node:test';
import { browser, opened, settled, target } from './chromium.mjs';

const skip = process.env.AMBIT_URL && !process.env.AMBIT_REFUSE ? 'AMBIT_REFUSE is not set' : false;

test('a refusal shows within 2 s with its identity and policy', { skip }, async (t) => {
  const mesh = await target();
  t.after(() => mesh.close());
  const chromium = await browser();
  t.after(() => chromium.close());
  const { page, complaints } = await opened(chromium);
  await page.goto(`${mesh.url}#/policies?w=5m`);
  await settled(page);
  await page.waitForFunction(() => document.querySelector('.status p')?.innerText.startsWith('Live'));
  // The clock of the server: the page may be looked at from another machine.
  const begun = (await (await fetch(`${new URL('/api/v1/', mesh.url)}about`)).json()).nowMs;
  const skew = begun - Date.now();
  const asked = refuse(mesh);
  const [identity, policy] = mesh.real ? [process.env.AMBIT_REFUSED_IDENTITY, process.env.AMBIT_REFUSED_POLICY] : await asked;
  const row = await page.waitForFunction(([at, who, by]) => {
    const rows = [...document.querySelectorAll('tr[data-row]')];
    return rows.find((one) => Date.parse(one.querySelector('time')?.dateTime ?? '') >= at
      && one.innerText.includes(by) && one.querySelector(`[title="${CSS.escape(who)}"]`));
  }, [begun, identity, policy], { timeout: 30_000, polling: 50 });
  const shown = Date.now() + skew;
  const took = shown - Date.parse(await row.evaluate((one) => one.querySelector('time').dateTime));
  t.diagnostic(`shown after ${took} ms: ${(await row.evaluate((one) => one.innerText)).replace(/\s+/g, ' ')}`);
  assert.ok(took <= 2000, `${took} ms`);
  assert.deepEqual(complaints, []);
  await asked;
});

/** Makes one; what must be seen of it. */
async function refuse(mesh) {
  if (mesh.real) {
    // Its exit code says nothing: that it is refused is the point.
    return promisify(exec)(process.env.AMBIT_REFUSE).catch(() => []);
  }
  const { key } = mesh.refuse();
  return [key.source.identity, key.policy];
}
