// Signing in and out where the pages are for others than the machine.
//   AMBIT_URL with AMBIT_TOKEN, of somebody who may read, and AMBIT_POWERLESS_TOKEN, of somebody who may not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser, opened } from './chromium.mjs';

const { AMBIT_URL: url, AMBIT_TOKEN: token, AMBIT_POWERLESS_TOKEN: powerless } = process.env;
const skip = token && powerless ? false : 'AMBIT_TOKEN and AMBIT_POWERLESS_TOKEN are not set';

/** What a browser says of a refusal is no fault of the page. */
const faults = (complaints) => complaints.filter((text) => !/status of (401|403)/.test(text));

async function signIn(page, text) {
  await page.fill('#token', text);
  await page.click('button[type=submit]');
}

test('a page asks to sign in, comes back to its address, and asks again after signing out', { skip }, async (t) => {
  const chromium = await browser();
  t.after(() => chromium.close());
  const { page, complaints } = await opened(chromium, { ignoreHTTPSErrors: true });
  const deep = `${url}#/nodes?w=1h`;
  await page.goto(deep);
  await page.waitForSelector('.sign-in');
  assert.match(await page.locator('.sign-in').innerText(), /Sign in[^]*no client certificate, token or session/);
  await signIn(page, 'no-token');
  await page.waitForSelector('.sign-in [role=alert] .icon');
  assert.match(await page.locator('.sign-in [role=alert]').innerText(), /does not accept this token for the audience ambit-dashboard/);
  assert.equal(await page.inputValue('#token'), '');

  await signIn(page, token);
  await page.waitForSelector('.page-nodes');
  assert.equal(page.url(), deep, 'the address is the one that was asked for');
  await page.waitForFunction(() => document.querySelector('.status p')?.innerText.startsWith('Live'));
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.secure, cookie.sameSite], ['__Host-ambit-session', true, true, 'Strict']);
  const seen = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, document.body.innerHTML]));
  assert.ok(!seen.includes(token) && !seen.includes(cookie.value), 'a secret is in reach of the page');
  await page.reload();
  await page.waitForSelector('.page-nodes');

  await page.click('button[aria-label="Sign out system:serviceaccount:ops:viewer"]');
  await page.waitForSelector('.sign-in');
  assert.match(await page.locator('.sign-in').innerText(), /You have signed out/);
  assert.deepEqual(await page.context().cookies(), []);
  assert.equal(page.url(), deep);
  assert.deepEqual(faults(complaints), []);
});

test('who lacks the right is told which', { skip }, async (t) => {
  const chromium = await browser();
  t.after(() => chromium.close());
  const { page, complaints } = await opened(chromium, { ignoreHTTPSErrors: true });
  await page.goto(`${url}#/workloads`);
  await page.waitForSelector('.sign-in');
  await signIn(page, powerless);
  await page.waitForSelector('.empty');
  const text = await page.locator('main').innerText();
  assert.match(text, /You may not see this page[^]*system:serviceaccount:ops:other may not get \/ambit\.dev\/api\/v1\/workloads/);
  assert.match(text, /A right is missing[^]*\/ambit\.dev\/api\/v1\/about/);
  assert.deepEqual(faults(complaints), []);
});
