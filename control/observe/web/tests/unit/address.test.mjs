import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const { parseAddress, formatAddress, changed, carried, toggled, listOf } = await load('state/address.ts');

test('what is written is read again, whatever the names', () => {
  for (const path of [[], ['mesh'], ['workloads', 'shop', 'web'], ['workloads', '<b>', 'a/b?c#d%'], ['nodes', '../x\u202E']]) {
    for (const query of [{}, { w: '15m' }, { q: 'a&b=c#d', sort: '-failed', policy: 'shop/deny' }, { sel: 'ünï→x' }]) {
      const again = parseAddress(formatAddress({ path, query }));
      assert.deepEqual(again.path, path);
      assert.deepEqual({ ...again.query }, query);
    }
  }
});

test('equal states have equal addresses, and readable ones', () => {
  assert.equal(formatAddress({ path: ['mesh'], query: { b: '2', a: '1', none: '' } }), formatAddress({ path: ['mesh'], query: { a: '1', b: '2' } }));
  assert.equal(formatAddress({ path: ['policies'], query: { policy: 'shop/deny' } }), '#/policies?policy=shop/deny');
});

test('nonsense is no error', () => {
  assert.deepEqual(parseAddress('#/%E0%A4%A').path, ['%E0%A4%A']);
  assert.deepEqual(parseAddress('').path, []);
  assert.equal(parseAddress('#/x?__proto__=1').query.toString, undefined);
});

test('changes, and what goes along to another page', () => {
  assert.deepEqual(changed({ a: '1', b: '2' }, { a: undefined, b: '', c: '3' }), { c: '3' });
  assert.deepEqual(carried({ w: '1h', namespace: 'shop', sort: 'x', q: 'y', sel: 'z' }), { w: '1h', namespace: 'shop' });
  assert.equal(toggled('b,a', 'c'), 'a,b,c');
  assert.equal(toggled('a,b', 'a'), 'b');
  assert.deepEqual(listOf(undefined), []);
});
