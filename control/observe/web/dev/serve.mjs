// Serves the built pages for development, as Ambit does: with its security policy.
//   node dev/serve.mjs [--port 8080] [--to http://127.0.0.1:15000] [--large] [--hostile] [--failing] [--node] [--longer]
// With --to, /api is asked of a real server; without, of a mesh that does not exist.
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answers } from './answers.mjs';
import { world } from './world.mjs';

export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8' };
const home = process.env.AMBIT_WEB_OUT || fileURLToPath(new URL('../dist', import.meta.url));
const filters = ['namespace', 'workload', 'service', 'identity', 'policy', 'node', 'reporter', 'waypoint', 'failed', 'limit', 'group', 'from', 'to', 'step'];

/** Starts a server on the loopback address; port 0 takes a free one. */
export function serve({ port = 0, to, large, hostile, failing, node, longer } = {}) {
  const mesh = answers(world({ large, hostile }));
  const listeners = new Set();
  const server = createServer((asked, answer) => {
    const url = new URL(asked.url, 'http://localhost');
    answer.setHeader('content-security-policy', POLICY);
    answer.setHeader('x-content-type-options', 'nosniff');
    if (!url.pathname.startsWith('/api/')) return file(url.pathname, answer);
    if (to) return proxy(to, asked, answer);
    return api(mesh, url, answer, { failing, node, longer, listeners });
  });
  return new Promise((ready) => server.listen(port, '127.0.0.1', () => ready({
    server,
    url: `http://127.0.0.1:${server.address().port}/ui/`,
    /** Makes up a refusal, and tells it live. */
    refuse() {
      const incident = mesh.incident(mesh.deniable.find((edge) => edge.failure === 'DENY'));
      for (const send of listeners) send('incident', incident);
      return incident;
    },
  })));
}

async function file(path, answer) {
  // As Ambit has it: the pages are below /ui/.
  if (!path.startsWith('/ui/')) return answer.writeHead(302, { location: '/ui/' }).end();
  const name = path.slice('/ui/'.length) || 'index.html';
  if (!/^[a-z]+\.[a-z]+$/.test(name)) return answer.writeHead(404).end();
  try {
    const bytes = await readFile(join(home, `${name}.gz`));
    answer.writeHead(200, { 'content-type': types[name.split('.')[1]], 'content-encoding': 'gzip' }).end(bytes);
  } catch {
    answer.writeHead(404).end('run `npm run build` first');
  }
}

function proxy(to, asked, answer) {
  const target = new URL(asked.url, to);
  const forward = request(target, { headers: { accept: asked.headers.accept ?? '*/*' } }, (got) => {
    answer.writeHead(got.statusCode, { 'content-type': got.headers['content-type'] ?? 'text/plain' });
    got.pipe(answer);
  });
  forward.on('error', (error) => answer.writeHead(502).end(JSON.stringify({ error: `${to}: ${error.message}` })));
  answer.on('close', () => forward.destroy());
  forward.end();
}

function api(mesh, url, answer, { failing, node, longer, listeners }) {
  const json = (status, body) => answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const [name, ...rest] = url.pathname.slice('/api/v1/'.length).split('/').map(decodeURIComponent);
  const query = Object.fromEntries(url.searchParams);
  if (name === 'about') return json(200, { ...mesh.about(node ? 'node' : 'fleet'), longer: longer ? 'prometheus' : '' });
  if (name === 'live') return live(mesh, answer, listeners);
  if (failing && (name === 'policies' || name === 'waypoints')) return json(name === 'policies' ? 500 : 503, { error: 'the ring of node-b cannot be read: Input/output error' });
  const unknown = Object.keys(query).find((key) => !filters.includes(key));
  if (unknown) return json(400, { error: `there is no parameter "${unknown}"`, field: unknown });
  const [from, to] = [Number(query.from), Number(query.to)];
  if (!(to > from) || to - from > 31 * 86_400_000) return json(400, { error: 'must be before to, at most 31 days', field: 'from' });
  const step = Number(query.step) || Math.ceil((to - from) / 60 / 10_000) * 10_000;
  if ((to - from) / step > 1000) return json(400, { error: 'at most 1,000 steps', field: 'step' });
  const window = { from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step, step };
  const what = rest.length === 0 ? mesh[name] : { nodes: mesh.node, workloads: mesh.workload }[name];
  if (typeof what !== 'function') return json(404, { error: `there is no ${url.pathname}` });
  const body = what({ ...window, from: Math.max(window.from, Math.floor(mesh.oldestMs / step) * step) }, query, ...rest);
  if (!body) return json(404, { error: `nothing is known of ${name.slice(0, -1)} ${rest.join('/')} in this window` });
  const older = longer && window.from < mesh.oldestMs && ['mesh', 'workloads'].includes(name);
  const history = older ? { fromMs: window.from, toMs: Math.min(mesh.oldestMs, window.to), source: 'prometheus', error: failing ? 'no answer within 5 s' : '' } : undefined;
  json(200, {
    fromMs: window.from, toMs: window.to, stepMs: step, oldestMs: mesh.oldestMs, history,
    missing: failing ? [{ node: 'node-c', name: 'ztunnel-node-c', error: 'no answer within 2 s' }] : [], ...body,
  });
}

function live(mesh, answer, listeners) {
  answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (kind, body) => answer.write(`event: ${kind}\ndata: ${JSON.stringify(body)}\n\n`);
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    send('tick', { nowMs: Date.now() });
    const edge = mesh.deniable[Math.floor(n / 3) % mesh.deniable.length];
    if (n % 3 === 0 && edge) send('incident', mesh.incident(edge));
    if (n % 20 === 0) send('event', mesh.event());
  }, 1000);
  send('tick', { nowMs: Date.now() });
  listeners.add(send);
  answer.on('close', () => {
    clearInterval(timer);
    listeners.delete(send);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flag = (name) => process.argv.includes(`--${name}`);
  const value = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
  const { url } = await serve({
    port: flag('port') ? Number(value('port')) : 8080, to: flag('to') ? value('to') : undefined,
    large: flag('large'), hostile: flag('hostile'), failing: flag('failing'), node: flag('node'), longer: flag('longer'),
  });
  console.log(url);
}
