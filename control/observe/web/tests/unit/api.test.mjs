import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const answers = await load('api/answers.ts');
const { incident } = await load('api/records.ts');
const { matches, isAbout, filterOf } = await load('api/filter.ts');
const { withLive, incidentKey } = await load('api/merge.ts');
const { urlOf } = await load('api/client.ts');
const { standing } = await load('pages/standing.ts');
const { deviates } = await load('pages/deviation.ts');
const order = await load('parts/order.ts');

test('what is absent is 0, empty or false; what has another type is absent', () => {
  const mesh = answers.mesh({ edges: [{ from: 'a', totals: { opened: '9007199254740991', failed: {} } }, null, 7], vertices: 'no' });
  assert.equal(mesh.edges.length, 3);
  assert.equal(mesh.edges[0].totals.opened, 9007199254740991);
  assert.equal(mesh.edges[0].totals.failed, 0);
  assert.deepEqual(mesh.edges[1].policies, []);
  assert.deepEqual(mesh.vertices, []);
  assert.equal(answers.policies({ policies: [{ dryRun: 'true' }] }).policies[0].dryRun, false);
  assert.deepEqual(answers.about(undefined).origins, []);
});

test('live incidents are filtered as the API filters', () => {
  const one = incident({ node: 'n1', sourcePod: 'web-1', key: { source: { namespace: 'shop', workload: 'web', identity: 'i1' }, destination: { namespace: 'pay', workload: 'ledger' }, service: 'pay/ledger.pay.svc.cluster.local', policy: 'pay/deny', reporter: 'destination', waypoint: 'pay/w' } });
  const yes = [{}, { namespace: 'pay' }, { namespace: 'sh*' }, { workload: 'web-1' }, { workload: 'ledger' }, { service: 'ledger' }, { service: 'pay/ledger' }, { service: 'pay/ledger.pay.svc.cluster.local' }, { identity: 'i1' }, { policy: 'pay/deny' }, { node: 'n1' }, { reporter: 'destination' }, { waypoint: 'pay/*' }, { failed: 'true' }];
  const no = [{ namespace: 'sho' }, { workload: 'w' }, { service: 'shop/ledger' }, { policy: 'deny' }, { node: 'n' }, { namespace: 'pay', node: 'x' }];
  for (const filter of yes) assert.ok(matches(filter, one), JSON.stringify(filter));
  for (const filter of no) assert.ok(!matches(filter, one), JSON.stringify(filter));
  assert.deepEqual(filterOf({ namespace: 'a', q: 'x', policy: '' }), { namespace: 'a' });
});

test('what came live and in the answer is one', () => {
  const a = incident({ atMs: 5, node: 'n', error: 'x' });
  const b = incident({ atMs: 9, node: 'n', error: 'x' });
  assert.deepEqual(withLive([a], [b, incident({ atMs: 5, node: 'n', error: 'x' })], incidentKey, () => true).map((one) => one.atMs), [9, 5]);
  assert.deepEqual(withLive([a], [b], incidentKey, () => false), [a]);
});

test('names of the cluster cannot lead out of the API', () => {
  assert.equal(urlOf(['workloads', 'a/b', 'c?d#e']), '/api/v1/workloads/a%2Fb/c%3Fd%23e');
  for (const name of ['.', '..', '']) assert.throws(() => urlOf(['nodes', name]), /is not a name/);
});

test('certificates', () => {
  const of = (state, notBeforeMs, notAfterMs, authority = false) => ({ state, notBeforeMs, notAfterMs, authority });
  assert.equal(standing(of('valid', 0, 100), 50), 'valid');
  assert.equal(standing(of('valid', 0, 100), 81), 'late');
  assert.equal(standing(of('valid', 0, 100, true), 81), 'valid');
  assert.equal(standing(of('valid', 0, 100), 100), 'expired');
  assert.equal(standing(of('failed', 0, 0), 50), 'failed');
});

test('a split deviates only beyond chance', () => {
  assert.equal(deviates(0.9, 0.8, 10), false);
  assert.equal(deviates(0.9, 0.8, 10_000), true);
  assert.equal(deviates(0.9, 0.895, 1e9), false);
  assert.equal(deviates(0, 0.02, 100), true);
});

test('orders of tables', () => {
  assert.deepEqual(order.parseOrder('-b', ['a', 'b'], 'a'), { column: 'b', falling: true });
  assert.deepEqual(order.parseOrder('x', ['a', 'b'], '-a'), { column: 'a', falling: true });
  assert.equal(order.nextOrder({ column: 'a', falling: false }, 'a', false), '-a');
  assert.equal(order.nextOrder({ column: 'a', falling: false }, 'n', true), '-n');
  assert.deepEqual(order.sorted(['node-10', 'node-2'], (x) => x, false), ['node-2', 'node-10']);
  assert.deepEqual(order.containing(['shop web', 'pay'], ' WEB shop', (x) => [x]), ['shop web']);
});

test('an event is about what its subject names, and where it happened', () => {
  const event = { atMs: 1, kind: 'proof', level: 'info', subject: 'Pod shop/web-1', text: '', node: 'node-a' };
  for (const filter of [{}, { namespace: 'shop' }, { workload: 'web*' }, { node: 'node-a', namespace: 'shop' }]) assert.ok(isAbout(filter, event), JSON.stringify(filter));
  for (const filter of [{ namespace: 'sho' }, { workload: 'web' }, { node: 'node-b' }]) assert.ok(!isAbout(filter, event), JSON.stringify(filter));
});
