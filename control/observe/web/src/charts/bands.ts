// The rows of a heat map. Pure.
import type { Heat } from '../api/answers';

export interface Band {
  /** In microseconds; an upper of 0 is the last band: above all bounds. */
  lower: number;
  upper: number;
  /** By step. */
  counts: number[];
}

/** One band for each bound, without the empty ones at both ends. `starts`: begins of the steps. */
export function bands({ bounds, steps }: Heat, starts: readonly number[]): Band[] {
  const at = new Map(steps.map((step) => [step.atMs, step.counts]));
  const all = [...bounds, 0].map((upper, i): Band => ({
    lower: i > 0 ? (bounds[i - 1] ?? 0) : 0,
    upper,
    counts: starts.map((start) => at.get(start)?.[i] ?? 0),
  }));
  const used = (band: Band): boolean => band.counts.some((n) => n > 0);
  const first = all.findIndex(used);
  if (first < 0) return [];
  let end = all.length;
  while (end > first && !used(all[end - 1] as Band)) end -= 1;
  // One band more on each side shows that it is the edge.
  return all.slice(Math.max(0, first - 1), Math.min(all.length, end + 1));
}

/** The largest count. */
export function densest(shown: readonly Band[]): number {
  return shown.reduce((most, band) => Math.max(most, ...band.counts), 0);
}

/** How dark `n` of at most `most` is, 0 to 1: by its logarithm, so that single ones are seen. */
export function strength(n: number, most: number): number {
  if (n <= 0) return 0;
  return most <= 1 ? 1 : 0.15 + 0.85 * (Math.log(n) / Math.log(most));
}
