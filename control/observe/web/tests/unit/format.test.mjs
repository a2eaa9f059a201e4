import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const number = await load('format/number.ts');
const { bytes, bytesRate } = await load('format/bytes.ts');
const { micros, span, relative } = await load('format/duration.ts');
const time = await load('format/time.ts');
const name = await load('format/name.ts');

const table = (write, rows) => rows.forEach(([value, text]) => assert.equal(write(value), text, String(value)));

test('counts have thousands separators', () => {
  table(number.count, [[0, '0'], [999, '999'], [1000, '1,000'], [1234567.4, '1,234,567'], [NaN, '–'], [Infinity, '–']]);
});

test('three significant digits, and what is not 0 does not read 0', () => {
  table(number.significant, [[0, '0'], [0.001, '<0.01'], [0.123, '0.12'], [3.456, '3.46'], [9.999, '10'], [56.78, '56.8'], [99.96, '100'], [1234.5, '1,235'], [-0.001, '>-0.01']]);
  table(number.rate, [[2.5, '2.5/s']]);
  table(number.percent, [[0, '0 %'], [0.5, '50 %'], [0.00001, '<0.01 %'], [1, '100 %']]);
});

test('bytes are IEC and never 1,024 of a unit', () => {
  table(bytes, [[0, '0 B'], [1, '1 B'], [1023, '1023 B'], [1024, '1 KiB'], [1536, '1.5 KiB'], [1048575, '1 MiB'], [5 * 2 ** 30, '5 GiB'], [2 ** 60, '1,024 PiB']]);
  table(bytesRate, [[2048, '2 KiB/s']]);
});

test('durations', () => {
  table(micros, [[0, '0'], [850, '850 µs'], [999.6, '1 ms'], [1200, '1.2 ms'], [3_450_000, '3.45 s'], [59_960_000, '1 m'], [125_000_000, '2 m 5 s'], [3.6e9, '1 h']]);
  table(span, [[0, '0 s'], [400, '<1 s'], [59_700, '1 m'], [3_600_000, '1 h'], [3_599_999, '1 h'], [90_061_000, '1 d 1 h'], [400 * 86_400_000, '1 y 35 d'], [-5000, '-5 s']]);
  assert.equal(relative(1000, 61_000), '1 m ago');
  assert.equal(relative(61_000, 1000), 'in 1 m');
  assert.equal(relative(1000, 1500), 'now');
});

test('times: the day only where it is another', () => {
  const at = new Date(2026, 0, 31, 14, 3, 22).getTime();
  assert.equal(time.moment(at, at + 1000), '14:03:22');
  assert.equal(time.moment(at, at + 86_400_000), '01-31 14:03:22');
  assert.equal(time.moment(at, at + 400 * 86_400_000), '2026-01-31 14:03:22');
  assert.equal(time.fromInput(time.forInput(at)), at);
  assert.equal(time.fromInput('nonsense'), undefined);
  assert.equal(time.range(at, at + 60_000, at), '14:03:22 – 14:04:22');
});

test('what cannot be seen is shown by its number, and the rest as it is', () => {
  table(name.seen, [['shop/web', 'shop/web'], ['<b>&amp;', '<b>&amp;'], ['a\u0000b', 'a␀b'], ['x\u202Etxt', 'x‹202E›txt'], ['z\u200B', 'z‹200B›'], ['\u007f', '␡'], ['naïve 日本語', 'naïve 日本語'], ['\u{E0041}', '‹E0041›'], ['\ud800', '‹D800›']]);
});

test('identities and services are short only where that is clear', () => {
  table(name.shortIdentity, [['spiffe://cluster.local/ns/shop/sa/web', 'shop/web'], ['spiffe://other/workload', 'spiffe://other/workload'], ['spiffe://d/ns/a/sa/b/c', 'spiffe://d/ns/a/sa/b/c']]);
  table(name.shortService, [['shop/orders.shop.svc.cluster.local', 'shop/orders'], ['shop/api.example.com', 'shop/api.example.com'], ['orders', 'orders'], ['a/orders.b.svc.cluster.local', 'a/orders.b.svc.cluster.local']]);
});
