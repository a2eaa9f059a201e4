import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const w = await load('state/window.ts');
const { MINUTE, HOUR, DAY } = w;
const now = 1_700_000_000_500;

test('widths', () => {
  for (const text of ['30s', '90s', '5m', '15m', '1h', '6h', '24h', '2d', '31d']) assert.equal(w.formatWidth(w.parseWidth(text)), text);
  for (const text of ['', '5', '5x', '-5m', '29s', '32d', '1e3m', '9999999m']) assert.equal(w.parseWidth(text), undefined, text);
});

test('a choice survives its address', () => {
  for (const choice of [{ live: true, widthMs: HOUR }, { live: false, fromMs: now - HOUR, toMs: now }]) assert.deepEqual(w.parseChoice(w.choiceQuery(choice)), choice);
  assert.deepEqual(w.parseChoice({}), w.DEFAULT);
  assert.deepEqual(w.parseChoice({ from: '5', to: '3' }), w.DEFAULT);
  assert.deepEqual(w.parseChoice({ from: 'x', to: 'y', w: '1h' }), { live: true, widthMs: HOUR });
});

test('a live window ends with the second that has begun', () => {
  assert.deepEqual(w.resolve({ live: true, widthMs: MINUTE }, now), { fromMs: 1_700_000_001_000 - MINUTE, toMs: 1_700_000_001_000, live: true });
});

test('five minutes around an event hold it, and not the future', () => {
  const past = w.around(now - HOUR, 5 * MINUTE, now);
  assert.equal(past.toMs - past.fromMs, 5 * MINUTE);
  assert.equal((past.toMs + past.fromMs) / 2, now - HOUR);
  const fresh = w.around(now - 1000, 5 * MINUTE, now);
  assert.ok(fresh.fromMs < now - 1000 && fresh.toMs > now - 1000);
  assert.ok(fresh.toMs <= now + w.NARROWEST);
});

test('zooming and shifting keep to what can be asked', () => {
  assert.deepEqual(w.zoomed({ live: true, widthMs: HOUR }, 0.5, now), { live: true, widthMs: 30 * MINUTE });
  const wide = w.zoomed({ live: false, fromMs: now - 30 * DAY, toMs: now - DAY }, 10, now);
  assert.equal(wide.toMs - wide.fromMs, w.WIDEST);
  assert.ok(wide.toMs <= Math.ceil(now));
  const narrow = w.zoomed({ live: false, fromMs: now - 40_000, toMs: now }, 0.01, now);
  assert.equal(narrow.toMs - narrow.fromMs, w.NARROWEST);
  const back = w.shifted({ live: true, widthMs: HOUR }, -0.5, now);
  assert.equal(back.live, false);
  assert.equal(back.toMs - back.fromMs, HOUR);
  assert.ok(w.shifted(back, 5, now).toMs <= Math.ceil(now / 1000) * 1000);
  assert.deepEqual(w.dragged(now, now - 5 * MINUTE), { live: false, fromMs: now - 5 * MINUTE, toMs: now });
});

test('steps are multiples of the resolution and at most 1,000', () => {
  for (let width = w.NARROWEST; width <= w.WIDEST; width *= 1.7) {
    const step = w.stepFor(width);
    assert.equal(step % 10_000, 0);
    assert.ok(width / step <= 1000);
  }
});
