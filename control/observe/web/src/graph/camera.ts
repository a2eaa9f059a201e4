// From places of the layout to pixels and back. Pure.
import type { Place } from './layout';

export interface Camera {
  /** What lies in the middle of the view. */
  x: number;
  y: number;
  /** Pixels per unit. */
  k: number;
}

export const CLOSEST = 4;
export const FARTHEST = 0.05;

/** Shows all of `places` in a view of this size, with a margin; not closer than 1.4. */
export function fitted(places: readonly Place[], width: number, height: number, margin = 56): Camera {
  if (places.length === 0) return { x: 0, y: 0, k: 1 };
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of places) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  const k = Math.min(1.4, (width - 2 * margin) / Math.max(1, right - left), (height - 2 * margin) / Math.max(1, bottom - top));
  return { x: (left + right) / 2, y: (top + bottom) / 2, k: Math.max(FARTHEST, k) };
}

/** The same with across and down exchanged. */
export function turned({ x, y, k }: Camera): Camera {
  return { x: y, y: x, k };
}

/** `12,-40,0.85`, as the address has it. */
export function writeCamera({ x, y, k }: Camera): string {
  return `${Math.round(x)},${Math.round(y)},${k.toFixed(3)}`;
}

export function readCamera(text: string): Camera | undefined {
  const [x, y, k] = text.split(',').map(Number);
  if (x === undefined || y === undefined || k === undefined || ![x, y, k].every(Number.isFinite)) return undefined;
  return { x, y, k: Math.min(CLOSEST, Math.max(FARTHEST, k)) };
}

/** The vertex nearest to `from` in a direction: within 60° of it, near ones first. */
export function nearest(places: readonly Place[], from: number, dx: number, dy: number): number | undefined {
  const start = places[from];
  if (!start) return undefined;
  let best: number | undefined;
  let least = Infinity;
  places.forEach((place, i) => {
    if (i === from) return;
    const ahead = (place.x - start.x) * dx + (place.y - start.y) * dy;
    const aside = Math.abs((place.x - start.x) * dy - (place.y - start.y) * dx);
    if (ahead <= 0 || aside > ahead * 1.75) return;
    const cost = ahead + 2 * aside;
    if (cost < least) [least, best] = [cost, i];
  });
  return best;
}
