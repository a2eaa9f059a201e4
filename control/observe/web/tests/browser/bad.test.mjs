// Names that try to be more than names, and a server that fails. Always of dev/serve.mjs: a real
// mesh cannot be made to fail from here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../../dev/serve.mjs';
import { browser, opened, pages, settled } from './chromium.mjs';

/** A browser at a made-up mesh; both end with the test, however it ends. */
async function looking(t, options) {
  const { server, url } = await serve(options);
  t.after(() => end(server));
  const chromium = await browser();
  t.after(() => chromium.close());
  return { server, url, ...await opened(chromium) };
}

function end(server) {
  server.closeAllConnections();
  return new Promise((done) => { server.close(done); });
}

test('names full of markup and control characters are text on every page', async (t) => {
  const { url, page, complaints } = await looking(t, { hostile: true });
  const all = { ...await pages(url), 'evil-workload': `#/workloads/shop/${encodeURIComponent('<img src=x onerror=alert(1)>')}`, evil: `#/workloads/${encodeURIComponent('</script><b>bold')}/${encodeURIComponent('<img src=x onerror=alert(1)>')}` };
  page.on('dialog', () => complaints.push('a dialog was opened'));
  let found = 0;
  for (const [name, hash] of Object.entries(all)) {
    await page.goto(`${url}${hash}`);
    await settled(page);
    const [bad, elements, texts] = await page.evaluate(() => {
      const seen = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/;
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const hits = [];
      let shown = 0;
      while (walker.nextNode()) {
        if (seen.test(walker.currentNode.data)) hits.push(walker.currentNode.data);
        if (walker.currentNode.data.includes('<img src=x')) shown += 1;
      }
      for (const one of document.querySelectorAll('[title], [aria-label]')) {
        for (const text of [one.title, one.getAttribute('aria-label') ?? '']) if (seen.test(text.replaceAll('\n', ''))) hits.push(text);
      }
      return [hits, document.querySelectorAll('main b:not(.plain b), main script, main img[src="x"]').length, shown];
    });
    found += texts;
    assert.deepEqual(bad, [], name);
    assert.equal(elements, 0, `${name}: a name became an element`);
    assert.deepEqual(complaints.filter((text) => !/404/.test(text)), [], name);
  }
  assert.ok(found > 0, 'no hostile name was shown: nothing was tested');
});

test('a proxy that does not answer is named with its error; a page that fails says so and tries again', async (t) => {
  const { url, page } = await looking(t, { failing: true });
  await page.goto(`${url}#/mesh`);
  await settled(page);
  assert.match(await page.locator('.notice').first().innerText(), /1 proxy did not answer[^]*ztunnel-node-c on node-c: no answer within 2 s/);
  await page.goto(`${url}#/policies`);
  await page.waitForSelector('.empty');
  assert.match(await page.locator('.empty').innerText(), /no answer yet[^]*node-b cannot be read[^]*Try now/i);
});

test('without a server what was seen stays, with since when; it comes back by itself', async (t) => {
  const { server, url, page } = await looking(t, {});
  await page.goto(`${url}#/nodes?w=5m`);
  await settled(page);
  const cards = await page.locator('.card').count();
  await end(server);
  await page.waitForSelector('.notice.tone-failing', { timeout: 15_000 });
  assert.match(await page.locator('.notice.tone-failing').innerText(), /No answer since \d\d:\d\d:\d\d[^]*What you see is of \d\d:\d\d:\d\d[^]*Try now/);
  assert.equal(await page.locator('.card').count(), cards);
  const { server: next } = await serve({ port: Number(new URL(url).port) });
  t.after(() => end(next));
  await page.waitForSelector('.notice.tone-failing', { state: 'detached', timeout: 30_000 });
});

test('wrong links say what is wrong and what to do', async (t) => {
  const { url, page } = await looking(t, {});
  for (const [hash, text] of [
    ['#/nodes/none', /nothing is known of node none[^]*Widen/i],
    ['#/workloads/shop/none', /nothing is known of workload[^]*Widen/i],
    ['#/workloads/shop/%2e%2e', /is not a name/],
    ['#/workloads/shop', /There is no such page[^]*Go to the mesh/],
    ['#/nothing', /There is no such page/],
    ['#/mesh?namespace=none', /No traffic in this window[^]*Widen the window/],
    ['#/workloads?q=none', /No workload in this window/],
    ['#/policies?from=1000000000000&to=1000000300000', /Nothing is kept of this window[^]*Show the oldest/],
  ]) {
    await page.goto('about:blank');
    await page.goto(`${url}${hash}`);
    await page.waitForSelector('.empty, .notice', { timeout: 10_000 });
    await page.waitForTimeout(200);
    assert.match(await page.locator('main').innerText(), text, hash);
  }
});

test('where a Prometheus is known longer windows can be chosen, and what comes from it is said', async (t) => {
  const { url, page, complaints } = await looking(t, { longer: true });
  await page.goto(`${url}#/mesh`);
  await settled(page);
  assert.equal(await page.locator('.notice', { hasText: 'Prometheus' }).count(), 0, 'the rings have all of this window');
  await page.locator('.picker-range').click();
  await page.getByRole('button', { name: '30 d', exact: true }).click();
  await page.waitForFunction(() => location.hash.includes('w=30d'));
  await settled(page);
  assert.match(await page.locator('.notice', { hasText: 'Prometheus' }).innerText(), /comes from Prometheus[^]*incidents, events, open connections and\s+policies are not in it/);
  // What metrics cannot tell is not said to come from there.
  await page.goto(`${url}#/policies?w=30d`);
  await settled(page);
  assert.equal(await page.locator('.notice', { hasText: 'Prometheus' }).count(), 0);
  assert.deepEqual(complaints, []);
});

test('a Prometheus that does not answer is named, and is no proxy', async (t) => {
  const { url, page } = await looking(t, { longer: true, failing: true });
  await page.goto(`${url}#/mesh?w=7d`);
  await settled(page);
  const notices = (await page.locator('.notice').allInnerTexts()).join('\n');
  assert.match(notices, /Prometheus did not answer[^]*no answer within 5 s/);
  assert.match(notices, /1 proxy did not answer/);
});

test('without a Prometheus no window is offered that nobody could fill', async (t) => {
  const { url, page } = await looking(t, {});
  await page.goto(`${url}#/mesh`);
  await settled(page);
  await page.locator('.picker-range').click();
  assert.equal(await page.getByRole('button', { name: '24 h', exact: true }).count(), 1);
  assert.equal(await page.getByRole('button', { name: '7 d', exact: true }).count(), 0);
});
