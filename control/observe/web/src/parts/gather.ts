// Events that lie too close on a time line are gathered into one sign. Pure.
import type { Event } from '../api/records';

export interface Group {
  /** When its first event was. */
  atMs: number;
  /** The worst level of its events. */
  level: string;
  /** From the first to the last. */
  events: Event[];
}

const levels = ['info', 'warning', 'error'];

/** At most `places` groups; each holds the events of one place of the line. */
export function gathered(events: readonly Event[], fromMs: number, toMs: number, places: number): Group[] {
  const width = (toMs - fromMs) / places;
  const inside = events.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs).sort((a, b) => a.atMs - b.atMs);
  const groups: Group[] = [];
  for (const event of inside) {
    const last = groups[groups.length - 1];
    if (last && event.atMs - last.atMs < width) {
      last.events.push(event);
      if (levels.indexOf(event.level) > levels.indexOf(last.level)) last.level = event.level;
    } else {
      groups.push({ atMs: event.atMs, level: event.level, events: [event] });
    }
  }
  return groups;
}
