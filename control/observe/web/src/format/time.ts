// Moments in the time zone of whoever looks; 24 hours; the date only where it is another day.

const two = (n: number): string => String(n).padStart(2, '0');

/** `14:03:22` */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `14:03` */
export function minute(ms: number): string {
  return clock(ms).slice(0, 5);
}

/** `2026-01-31` */
export function day(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** `14:03:22` today, `01-31 14:03:22` on another day, with the year in another year. */
export function moment(ms: number, nowMs: number): string {
  const date = day(ms);
  const today = day(nowMs);
  if (date === today) return clock(ms);
  return `${date.slice(0, 4) === today.slice(0, 4) ? date.slice(5) : date} ${clock(ms)}`;
}

/** `2026-01-31 14:03:22 UTC+01:00`: whole, for a title. */
export function whole(ms: number): string {
  return `${day(ms)} ${clock(ms)} ${zone(ms)}`;
}

/** The offset of the viewer's time zone: `UTC+01:00`. */
export function zone(ms: number): string {
  const offset = -new Date(ms).getTimezoneOffset();
  if (offset === 0) return 'UTC';
  const size = Math.abs(offset);
  return `UTC${offset < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** What `<input type="datetime-local">` takes: `2026-01-31T14:03:22`. */
export function forInput(ms: number): string {
  return `${day(ms)}T${clock(ms)}`;
}

/** Reads such an input; undefined where it says nothing. */
export function fromInput(text: string): number | undefined {
  const ms = new Date(text).getTime();
  return Number.isFinite(ms) ? ms : undefined;
}

/** A window: `14:03:22 – 14:18:22`, with days where they differ from today's. */
export function range(fromMs: number, toMs: number, nowMs: number): string {
  const to = day(fromMs) === day(toMs) ? clock(toMs) : moment(toMs, nowMs);
  return `${moment(fromMs, nowMs)} – ${to}`;
}
