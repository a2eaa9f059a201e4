// From the points of an answer to the columns of a chart. Pure.

/** The steps of an answer. */
export interface Grid {
  fromMs: number;
  toMs: number;
  stepMs: number;
  /** Before this nothing is kept: there are gaps, not zeros. */
  oldestMs: number;
  /** What lies after this has not happened. */
  nowMs: number;
}

/** When each step begins. At most 1,000, as the server has it. */
export function starts(grid: Grid): number[] {
  const step = grid.stepMs > 0 ? grid.stepMs : grid.toMs - grid.fromMs;
  const times: number[] = [];
  for (let at = grid.fromMs; at < grid.toMs && times.length < 1000 && step > 0; at += step) times.push(at);
  return times;
}

/** Where the value of a step is drawn: its middle. */
export function middles(grid: Grid): number[] {
  const half = (grid.stepMs > 0 ? grid.stepMs : grid.toMs - grid.fromMs) / 2;
  return starts(grid).map((at) => at + half);
}

export type Value = number | null;

/**
 * The value of each step. A step without a point is `absent`; one that is not kept, or has not
 * begun, is a gap.
 */
export function byStep<P extends { atMs: number }>(
  grid: Grid,
  points: readonly P[],
  value: (point: P) => Value,
  absent: Value,
): Value[] {
  const found = new Map<number, P>();
  for (const point of points) found.set(indexOf(grid, point.atMs), point);
  return starts(grid).map((at, i) => {
    const point = found.get(i);
    if (at + grid.stepMs <= grid.oldestMs || at >= grid.nowMs) return point ? value(point) : null;
    return point ? value(point) : absent;
  });
}

/** Counts as rates: the step that still runs is divided by what has passed of it. */
export function rates<P extends { atMs: number }>(
  grid: Grid,
  points: readonly P[],
  counted: (point: P) => number,
): Value[] {
  const counts = byStep(grid, points, counted, 0);
  return starts(grid).map((at, i) => {
    const n = counts[i];
    const passed = Math.min(grid.stepMs, grid.nowMs - at);
    // What has just begun says nothing yet.
    if (n === null || n === undefined || passed < Math.min(5000, grid.stepMs)) return null;
    return n / (passed / 1000);
  });
}

/** Values that mean nothing where nothing was counted, such as a percentile. */
export function where<P extends { atMs: number }>(
  grid: Grid,
  points: readonly P[],
  value: (point: P) => number,
): Value[] {
  return byStep(grid, points, (point) => value(point) || null, null);
}

function indexOf(grid: Grid, atMs: number): number {
  return Math.floor((atMs - grid.fromMs) / (grid.stepMs || 1));
}

/** The sum of the points of several, step by step. */
export function summed<P extends { atMs: number }>(lists: readonly (readonly P[])[], add: (a: P, b: P) => P): P[] {
  const sums = new Map<number, P>();
  for (const list of lists) {
    for (const point of list) {
      const sum = sums.get(point.atMs);
      sums.set(point.atMs, sum ? add(sum, point) : point);
    }
  }
  return [...sums.values()].sort((a, b) => a.atMs - b.atMs);
}
