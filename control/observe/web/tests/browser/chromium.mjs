// The browser of the system, and the server to look at.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve } from '../../dev/serve.mjs';

const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A headless browser; CHROMIUM names another than the system's. */
export async function browser() {
  const executablePath = process.env.CHROMIUM ?? known.find((path) => existsSync(path));
  if (!executablePath) throw new Error('no browser: install chromium, or set CHROMIUM to one');
  // Without its sandbox only as root, where it does not start otherwise: in CI and containers.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

/** Where the pages are: AMBIT_URL, or a server of our own with `options` of dev/serve.mjs. */
export async function target(options = {}) {
  if (process.env.AMBIT_URL) return { url: process.env.AMBIT_URL.replace(/\/?$/, '/'), real: true, close: () => {}, refuse: undefined };
  const { server, url, refuse } = await serve(options);
  return { url, real: false, refuse, close: () => { server.closeAllConnections(); server.close(); } };
}

/** Names of what the server knows: for pages of one node and one workload. */
export async function names(url) {
  const to = Date.now();
  const ask = async (path) => (await fetch(`${new URL('/api/v1/', url)}${path}?from=${to - 3_600_000}&to=${to}`)).json();
  const [{ nodes = [] }, { workloads = [] }] = await Promise.all([ask('nodes'), ask('workloads')]);
  const busiest = [...workloads].sort((a, b) => (b.inbound?.opened ?? 0) - (a.inbound?.opened ?? 0))[0];
  return {
    node: process.env.AMBIT_NODE ?? nodes[0]?.name,
    workload: process.env.AMBIT_WORKLOAD ?? (busiest && `${busiest.namespace}/${busiest.name}`),
  };
}

/** The addresses of all pages. */
export async function pages(url) {
  const { node, workload } = await names(url);
  return {
    mesh: '#/mesh', 'mesh-list': '#/mesh?view=list', nodes: '#/nodes', node: `#/nodes/${encodeURIComponent(node)}`, workloads: '#/workloads',
    workload: `#/workloads/${workload.split('/').map(encodeURIComponent).join('/')}`, waypoints: '#/waypoints', policies: '#/policies',
    certificates: '#/certificates', events: '#/events',
  };
}

/** Waits until a page shows its answer, and the graph is laid out. */
export async function settled(page) {
  await page.waitForSelector('.answer, .empty', { timeout: 20_000 });
  await page.waitForFunction(() => !document.querySelector('.graph-wait, .loading, .answer.stale'), undefined, { timeout: 20_000 });
}

/** A page that notes what a browser complains of; `complaints` are asserted to be none. */
export async function opened(chromium, options = {}) {
  const context = await chromium.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.exposeFunction('complain', (text) => complaints.push(text));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (violation) => globalThis.complain(`policy: ${violation.violatedDirective} ${violation.blockedURI}`));
  });
  return { page, complaints, close: () => context.close() };
}

/** A window of `minutes` that ended half a minute ago: what is in it does not change any more. */
export function past(minutes = 10) {
  const to = Math.floor((Date.now() - 30_000) / 10_000) * 10_000;
  return { from: to - minutes * 60_000, to };
}
