// What came live, put before what was asked for; each once.
import type { Event, Incident } from './records';

/** Newest first. Only live ones from `fromMs` to `toMs` and for which `wanted` holds. */
export function withLive<T extends { atMs: number }>(
  asked: readonly T[],
  live: readonly T[],
  key: (one: T) => string,
  wanted: (one: T) => boolean,
): T[] {
  const known = new Set(asked.map(key));
  const fresh = live.filter((one) => wanted(one) && !known.has(key(one)));
  if (fresh.length === 0) return [...asked];
  return [...fresh, ...asked].sort((a, b) => b.atMs - a.atMs);
}

/** What tells one incident from all others. */
export function incidentKey(one: Incident): string {
  const { key } = one;
  return [
    one.atMs, one.node, key.reporter, one.sourceAddress, one.destinationAddress, key.source.workload,
    key.destination.workload, key.service, key.port, key.failure, one.requestId, one.path,
  ].join('\u0000');
}

/** What tells one event from all others. */
export function eventKey(one: Event): string {
  return [one.atMs, one.kind, one.subject, one.node, one.text].join('\u0000');
}
