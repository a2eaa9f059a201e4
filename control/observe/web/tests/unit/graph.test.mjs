import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const { layout, rankOf } = await load('graph/layout.ts');
const { modelOf, found } = await load('graph/model.ts');
const { isEnd } = await load('graph/touches.ts');
const camera = await load('graph/camera.ts');

const vertices = Array.from({ length: 40 }, (_, i) => ({ group: `g${i % 5}` }));
const edges = Array.from({ length: 60 }, (_, i) => [(i * 7) % 40, (i * 11 + 3) % 40]);

test('equal graphs get equal places, and vertices do not lie on each other', () => {
  const places = layout({ vertices, edges });
  assert.deepEqual(places, layout({ vertices, edges }));
  for (const [i, a] of places.entries()) for (const b of places.slice(i + 1)) assert.ok(Math.hypot(a.x - b.x, a.y - b.y) > 12);
});

test('fields of groups do not overlap', () => {
  const places = layout({ vertices, edges });
  const boxes = [0, 1, 2, 3, 4].map((group) => {
    const of = places.filter((_, i) => i % 5 === group);
    return [Math.min(...of.map((p) => p.x)), Math.min(...of.map((p) => p.y)), Math.max(...of.map((p) => p.x)), Math.max(...of.map((p) => p.y))];
  });
  for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) assert.ok(a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1]);
});

test('what lies already stays when others come', () => {
  const before = layout({ vertices, edges });
  const more = [...vertices.map((vertex, i) => ({ ...vertex, at: before[i] })), { group: 'g0' }];
  const after = layout({ vertices: more, edges: [...edges, [0, 40]] });
  before.forEach((place, i) => assert.deepEqual(after[i], place));
  assert.ok(Number.isFinite(after[40].x));
});

test('ranks follow the calls, circles end', () => {
  assert.deepEqual(rankOf(4, [[0, 1], [1, 2], [0, 2], [2, 3]]), [0, 1, 2, 3]);
  assert.equal(rankOf(3, [[0, 1], [1, 2], [2, 0], [1, 1]]).length, 3);
  assert.deepEqual(layout({ vertices: [], edges: [] }), []);
});

test('links from one to another are one line with the worst health', () => {
  const link = (from, to, health, security) => ({ from, to, health, security, totals: { opened: 1, requests: 0, failed: 0 } });
  const model = modelOf([{ id: 'b', name: 'b', namespace: 'x', kind: 'workload', identity: '', nodes: [] }, { id: 'a', name: 'a', namespace: 'x', kind: 'workload', identity: '', nodes: ['n7'] }], [link('a', 'b', 'ok', 'mtls'), link('a', 'b', 'failing', 'plain'), link('a', 'gone', 'ok', 'mtls')]);
  assert.deepEqual(model.vertices.map((vertex) => vertex.id), ['a', 'b']);
  assert.equal(model.lines.length, 1);
  assert.deepEqual([model.lines[0].health, model.lines[0].security, model.lines[0].links.length], ['failing', 'mixed', 2]);
  assert.deepEqual([...found(model, 'N7')], [0]);
  assert.equal(found(model, ' '), undefined);
});

test('the camera', () => {
  assert.deepEqual(camera.readCamera(camera.writeCamera({ x: 12, y: -40, k: 0.85 })), { x: 12, y: -40, k: 0.85 });
  assert.equal(camera.readCamera('1,2'), undefined);
  assert.equal(camera.readCamera('1,2,1e9').k, camera.CLOSEST);
  const fit = camera.fitted([{ x: 0, y: 0 }, { x: 1000, y: 100 }], 600, 400);
  assert.ok(fit.k * 1000 <= 600 && fit.x === 500 && fit.y === 50);
  const places = [{ x: 0, y: 0 }, { x: 10, y: 1 }, { x: 100, y: 0 }, { x: -5, y: 0 }];
  assert.equal(camera.nearest(places, 0, 1, 0), 1);
  assert.equal(camera.nearest(places, 0, -1, 0), 3);
  assert.equal(camera.nearest(places, 0, 0, 1), undefined);
});

test('incidents of what is chosen', () => {
  const key = { source: { namespace: 'shop', workload: 'web' }, destination: { namespace: 'pay', workload: 'ledger-v2' }, service: 'pay/ledger.pay.svc.cluster.local', waypoint: 'pay/w' };
  const of = (kind, namespace, name) => ({ kind, namespace, name });
  assert.ok(isEnd(of('workload', 'shop', 'web'), key, 'source') && !isEnd(of('workload', 'shop', 'web'), key, 'destination'));
  assert.ok(isEnd(of('namespace', '', 'pay'), key, 'destination') && isEnd(of('namespace', 'pay', 'pay'), key, 'destination'));
  assert.ok(isEnd(of('service', 'pay', 'ledger'), key, 'destination') && !isEnd(of('service', 'pay', 'led'), key, 'destination'));
  assert.ok(isEnd(of('waypoint', 'pay', 'w'), key, 'destination'));
  assert.ok(!isEnd(of('external', '', 'outside'), key, 'source') && isEnd(of('unknown', '', ''), { ...key, source: { namespace: '', workload: '' } }, 'source'));
});
