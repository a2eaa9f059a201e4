// How a certificate stands. Pure.
import type { Certificate } from '../api/records';

/** The part of its life that has passed, 0 to 1. */
export function used({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): number {
  if (notAfterMs <= notBeforeMs) return 0;
  return Math.min(1, Math.max(0, (nowMs - notBeforeMs) / (notAfterMs - notBeforeMs)));
}

/** Its state; `late` where four fifths have passed and it was not renewed, `expired` by our clock too. */
export function standing(one: Certificate, nowMs: number): string {
  if (one.state !== 'valid' && one.state !== '') return one.state;
  if (one.notAfterMs && one.notAfterMs <= nowMs) return 'expired';
  // Authorities are not renewed by themselves: their expiry is shown apart.
  return !one.authority && used(one, nowMs) > 0.8 ? 'late' : 'valid';
}
