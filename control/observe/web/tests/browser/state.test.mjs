// The state of a page is in its address, and a window in the past shows what was recorded then.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, names, opened, pages, past, settled, target } from './chromium.mjs';

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

/** What is on a page, without what counts on by itself. */
const seen = async (page) => (await page.locator('main').innerText()).replace(/\b(in )?[<\d]+ ?[smhd]( \d+ [smhd])?( ago)?\b/g, '·').replace(/\s+/g, ' ');

test('a link restores window, filter, order, search and what is opened', async () => {
  const { workload } = await names(mesh.url);
  const { from, to } = past();
  const { page, complaints, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/workloads?from=${from}&to=${to}`);
  await settled(page);
  await page.getByRole('button', { name: 'Workload', exact: true }).click();
  await page.getByRole('button', { name: 'Workload', exact: true }).click();
  await page.getByLabel('Name, identity or node').fill(workload.split('/')[0].slice(0, 3));
  await page.getByLabel('Add a filter').selectOption('namespace');
  await page.getByPlaceholder('namespace, * at the end').fill(workload.split('/')[0]);
  await page.keyboard.press('Enter');
  await settled(page);
  const link = page.url();
  for (const part of ['sort=-name', 'namespace=', 'q=', `from=${from}`]) assert.ok(link.includes(part), `${part} in ${link}`);
  const before = await seen(page);
  assert.ok(before.includes(workload));

  const other = await opened(chromium);
  await other.page.goto(link);
  await settled(other.page);
  assert.equal(await seen(other.page), before);
  assert.equal(await other.page.locator('th[aria-sort=descending]').innerText(), 'Workload');
  assert.deepEqual([...complaints, ...other.complaints], []);
  await other.close();
  await close();
});

test('back leads to where one was', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/nodes`);
  await settled(page);
  await page.getByRole('link', { name: 'Policies' }).first().click();
  await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'Policies');
  await page.goBack();
  await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'Nodes');
  await close();
});

test('the graph keeps what is chosen and where one looks', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/mesh`);
  await settled(page);
  await page.locator('.graph canvas').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.panel');
  const title = await page.locator('.panel h2').innerText();
  await page.locator('.graph canvas').focus();
  await page.keyboard.press('+');
  await page.waitForFunction(() => location.hash.includes('at='));
  const link = page.url();
  assert.match(link, /sel=/);
  const other = await opened(chromium);
  await other.page.goto(link);
  await settled(other.page);
  assert.equal(await other.page.locator('.panel h2').innerText(), title);
  assert.equal(other.page.url(), link);
  await other.close();
  await close();
});

test('a window in the past shows the numbers that the API has for it', async () => {
  const { from, to } = past();
  const { workloads } = await (await fetch(`${new URL('/api/v1/', mesh.url)}workloads?from=${from}&to=${to}`)).json();
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/workloads?from=${from}&to=${to}`);
  await settled(page);
  const rows = await page.locator('tbody tr[data-row]').count();
  assert.equal(rows, Math.min(100, workloads.length));
  const { policies } = await (await fetch(`${new URL('/api/v1/', mesh.url)}policies?from=${from}&to=${to}&step=10000`)).json();
  await page.goto(`${mesh.url}#/policies?from=${from}&to=${to}`);
  await settled(page);
  for (const { name, action, allowed = 0, refused = 0 } of policies) {
    const row = await page.locator('tr[data-row]', { has: page.getByRole('link', { name, exact: true }) }).first().innerText();
    // Where a policy can allow nothing there is no number.
    for (const n of action === 'ALLOW' || allowed > 0 ? [allowed, refused] : [refused]) assert.ok(row.includes(n.toLocaleString('en-US')), `${name}: ${n} in ${row}`);
  }
  await close();
});

test('five minutes around an event', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}#/events?w=24h`);
  await settled(page);
  const button = page.getByRole('button', { name: /^5 minutes around/ }).first();
  if (await button.count() === 0) return close();
  const at = Date.parse(await page.locator('tr[data-row] time').first().getAttribute('datetime'));
  await button.click();
  const query = new URLSearchParams(new URL(page.url()).hash.split('?')[1]);
  assert.ok(Number(query.get('from')) <= at && at <= Number(query.get('to')));
  assert.ok(Number(query.get('to')) - Number(query.get('from')) <= 300_000);
  assert.equal(Number(query.get('mark')), at);
  await settled(page);
  assert.ok(await page.locator(`time[datetime="${new Date(at).toISOString()}"]`).count() > 0);
  return close();
});

test('a drag over a chart zooms in, and the numbers behind it are in a table', async () => {
  const { page, close } = await opened(chromium);
  await page.goto(`${mesh.url}${all.node}?w=15m`);
  await settled(page);
  const box = await page.locator('.u-over').first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => location.hash.includes('from='));
  const query = new URLSearchParams(new URL(page.url()).hash.split('?')[1]);
  const width = Number(query.get('to')) - Number(query.get('from'));
  assert.ok(Math.abs(width - 0.3 * 900_000) < 30_000, `${width}`);
  await page.getByRole('button', { name: /show the numbers as a table/ }).first().click();
  await page.waitForSelector('.chart-table tbody tr');
  assert.match(page.url(), /table=/);
  await close();
});
