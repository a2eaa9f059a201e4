// Whether the server answers: one state for the whole application, shown once.
import { store } from '../state/store';

export interface Health {
  /** Since when nobody answers; 0: all is well. */
  failingSinceMs: number;
  /** When the last answer came; 0: none yet. */
  lastMs: number;
  error: string;
  /** When it is tried again. */
  retryMs: number;
}

export const health = store<Health>({ failingSinceMs: 0, lastMs: 0, error: '', retryMs: 0 });

const FIRST = 1000;
const LONGEST = 15_000;
let failures = 0;

/** An answer came. */
export function answered(): void {
  failures = 0;
  health.set({ failingSinceMs: 0, lastMs: Date.now(), error: '', retryMs: 0 });
}

/** None came. Returns after how many milliseconds to try again. */
export function failed(error: string): number {
  const now = Date.now();
  const before = health.get();
  // Several questions fail together; they wait together.
  if (before.retryMs > now) return before.retryMs - now;
  const spread = pause(failures);
  failures += 1;
  health.set({ ...before, failingSinceMs: before.failingSinceMs || now, error, retryMs: now + spread });
  return spread;
}

/** The pause after so many failures: doubled each time, and spread, so that pages do not come back together. */
export function pause(count: number): number {
  return Math.min(LONGEST, FIRST * 2 ** count) * (0.8 + 0.4 * Math.random());
}

/** Counts up when somebody wants to try now. */
export const urged = store(0);

export function retryNow(): void {
  health.set({ ...health.get(), retryMs: 0 });
  urged.set(urged.get() + 1);
}
