import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './load.mjs';

const { starts, byStep, rates, where, summed } = await load('charts/series.ts');
const { bands, densest, strength } = await load('charts/bands.ts');
const { timeMarks, timeMark, timeStep } = await load('charts/axis.ts');
const { gathered } = await load('parts/gather.ts');

const grid = { fromMs: 0, toMs: 60_000, stepMs: 10_000, oldestMs: 0, nowMs: 60_000 };

test('steps without a point are 0, those not kept or not begun are gaps', () => {
  assert.deepEqual(starts(grid), [0, 10_000, 20_000, 30_000, 40_000, 50_000]);
  const of = { ...grid, oldestMs: 15_000, nowMs: 45_000 };
  assert.deepEqual(byStep(of, [{ atMs: 30_000, n: 7 }], (p) => p.n, 0), [null, 0, 0, 7, 0, null]);
});

test('the step that runs is divided by what has passed of it', () => {
  assert.deepEqual(rates({ ...grid, nowMs: 55_000 }, [{ atMs: 0, n: 20 }, { atMs: 50_000, n: 20 }], (p) => p.n), [2, 0, 0, 0, 0, 4]);
  assert.equal(rates({ ...grid, nowMs: 51_000 }, [{ atMs: 50_000, n: 3 }], (p) => p.n)[5], null);
});

test('a percentile of nothing is a gap', () => {
  assert.deepEqual(where({ ...grid, toMs: 20_000 }, [{ atMs: 0, n: 0 }, { atMs: 10_000, n: 5 }], (p) => p.n), [null, 5]);
});

test('a step of 0 or a broken window does not loop', () => {
  assert.equal(starts({ ...grid, stepMs: 0 }).length, 1);
  assert.deepEqual(starts({ ...grid, toMs: -5 }), []);
  assert.equal(starts({ ...grid, toMs: 1e12 }).length, 1000);
});

test('sums over several', () => {
  const add = (a, b) => ({ atMs: a.atMs, n: a.n + b.n });
  assert.deepEqual(summed([[{ atMs: 2, n: 1 }], [{ atMs: 1, n: 5 }, { atMs: 2, n: 2 }]], add), [{ atMs: 1, n: 5 }, { atMs: 2, n: 3 }]);
});

test('a heat map shows the bands that are used and one on each side', () => {
  const heat = { bounds: [10, 20, 30, 40, 50], steps: [{ atMs: 0, counts: [0, 0, 3, 0, 0, 0] }, { atMs: 10, counts: [0, 0, 0, 1, 0, 0] }] };
  const shown = bands(heat, [0, 10, 20]);
  assert.deepEqual(shown.map((band) => [band.lower, band.upper]), [[10, 20], [20, 30], [30, 40], [40, 50]]);
  assert.deepEqual(shown[1].counts, [3, 0, 0]);
  assert.equal(densest(shown), 3);
  assert.deepEqual(bands({ bounds: [10], steps: [] }, [0]), []);
  assert.deepEqual(bands({ bounds: [10], steps: [{ atMs: 0, counts: [0, 4] }] }, [0]).map((band) => band.upper), [10, 0]);
  assert.ok(strength(1, 1000) > 0.1 && strength(1000, 1000) === 1 && strength(0, 5) === 0 && strength(1, 1) === 1);
});

test('an axis is marked at whole times, and never too often', () => {
  const from = new Date(2026, 0, 31, 23, 52, 7).getTime();
  const marks = timeMarks(from, from + 15 * 60_000, timeStep(from, from + 15 * 60_000, 6));
  assert.deepEqual(marks.map((at) => timeMark(at, 300_000)), ['23:55', '02-01', '00:05']);
  for (let width = 30_000; width < 31 * 86_400_000; width *= 2) assert.ok(timeMarks(from, from + width, timeStep(from, from + width, 6)).length <= 7);
});

test('events that are close are one sign with the worst level', () => {
  const event = (atMs, level) => ({ atMs, level });
  const groups = gathered([event(900, 'info'), event(10, 'info'), event(12, 'error'), event(5000, 'error')], 0, 1000, 10);
  assert.deepEqual(groups.map((group) => [group.atMs, group.level, group.events.length]), [[10, 'error', 2], [900, 'info', 1]]);
});
