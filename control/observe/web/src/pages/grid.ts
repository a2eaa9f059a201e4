import { useMemo } from 'preact/hooks';
import type { Windowed } from '../api/answers';
import { now } from '../api/now';
import type { Grid } from '../charts/series';

/** The steps of an answer, as charts take them; the same object while the answer is the same. */
export function useGrid(data: Windowed): Grid {
  return useMemo(
    () => ({
      fromMs: data.fromMs,
      toMs: data.toMs,
      stepMs: data.stepMs || 10_000,
      oldestMs: data.oldestMs,
      nowMs: now(),
    }),
    [data],
  );
}

/** Seconds of the answer's window that have passed and are kept: what totals are divided by. */
export function seconds(data: Windowed): number {
  const end = Math.min(data.toMs, now());
  return Math.max(1, (end - Math.max(data.fromMs, data.oldestMs)) / 1000);
}
