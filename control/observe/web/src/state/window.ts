// The window of time that a page shows. Pure: the time is an argument.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What the server takes at most. */
export const WIDEST = 31 * DAY;
/** The resolution of what is remembered; nothing narrower has two points. */
export const NARROWEST = 30 * SECOND;

export const PRESETS = [5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY] as const;
/** Further ones, where somebody keeps what is older than the rings of the proxies. */
export const LONGER = [7 * DAY, 30 * DAY] as const;

/** What was chosen: the last `widthMs`, sliding, or two moments. */
export type Choice =
  | { live: true; widthMs: number }
  | { live: false; fromMs: number; toMs: number };

/** A choice at a moment. */
export interface Span {
  fromMs: number;
  toMs: number;
  live: boolean;
}

export const DEFAULT: Choice = { live: true, widthMs: 15 * MINUTE };

/** `90s`, `15m`, `6h`, `2d` to milliseconds; undefined for anything else. */
export function parseWidth(text: string): number | undefined {
  const found = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (!found) return undefined;
  const unit = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }[found[2] as 's' | 'm' | 'h' | 'd'];
  const ms = Number(found[1]) * unit;
  return ms >= NARROWEST && ms <= WIDEST ? ms : undefined;
}

/** The opposite, in the largest unit that divides. */
export function formatWidth(ms: number): string {
  if (ms % DAY === 0 && ms > DAY) return `${ms / DAY}d`;
  if (ms % HOUR === 0) return `${ms / HOUR}h`;
  if (ms % MINUTE === 0) return `${ms / MINUTE}m`;
  return `${Math.round(ms / SECOND)}s`;
}

/** What an address says of the window; the default where it says nothing sensible. */
export function parseChoice(query: Readonly<Record<string, string>>): Choice {
  const fromMs = Number(query['from'] ?? NaN);
  const toMs = Number(query['to'] ?? NaN);
  if (Number.isFinite(fromMs) && Number.isFinite(toMs) && toMs > fromMs && fromMs >= 0) {
    return { live: false, ...fitted(Math.round(fromMs), Math.round(toMs)) };
  }
  const widthMs = parseWidth(query['w'] ?? '');
  return widthMs === undefined ? DEFAULT : { live: true, widthMs };
}

/** The changes to an address that choose `choice`. */
export function choiceQuery(choice: Choice): Record<string, string | undefined> {
  if (choice.live) {
    return { w: formatWidth(choice.widthMs), from: undefined, to: undefined, mark: undefined };
  }
  return { w: undefined, from: String(Math.round(choice.fromMs)), to: String(Math.round(choice.toMs)) };
}

/** The choice at `nowMs`; a sliding one ends with the second that has begun. */
export function resolve(choice: Choice, nowMs: number): Span {
  if (!choice.live) return { fromMs: choice.fromMs, toMs: choice.toMs, live: false };
  const toMs = Math.ceil(nowMs / SECOND) * SECOND;
  return { fromMs: toMs - choice.widthMs, toMs, live: true };
}

/** `widthMs` around a moment; what would lie in the future is taken from the end. */
export function around(atMs: number, widthMs: number, nowMs: number): Choice {
  const fromMs = Math.round(atMs - widthMs / 2);
  const toMs = Math.min(fromMs + widthMs, Math.max(Math.ceil(nowMs), atMs + NARROWEST));
  return { live: false, ...fitted(fromMs, toMs) };
}

/** The same middle, `factor` times as wide; a live window stays live. */
export function zoomed(choice: Choice, factor: number, nowMs: number): Choice {
  const span = resolve(choice, nowMs);
  const width = Math.round(clampWidth((span.toMs - span.fromMs) * factor) / SECOND) * SECOND;
  if (choice.live) return { live: true, widthMs: width };
  const fromMs = Math.round((span.fromMs + span.toMs - width) / 2);
  const late = Math.max(0, fromMs + width - Math.ceil(nowMs));
  return { live: false, ...fitted(fromMs - late, fromMs - late + width) };
}

/** Moved by `part` of its width, not past the present. */
export function shifted(choice: Choice, part: number, nowMs: number): Choice {
  const span = resolve(choice, nowMs);
  const width = span.toMs - span.fromMs;
  const toMs = Math.min(span.toMs + Math.round(width * part), Math.ceil(nowMs / SECOND) * SECOND);
  return { live: false, ...fitted(toMs - width, toMs) };
}

/** What a drag over a chart chose: at least the narrowest window. */
export function dragged(oneMs: number, otherMs: number): Choice {
  return { live: false, ...fitted(Math.round(Math.min(oneMs, otherMs)), Math.round(Math.max(oneMs, otherMs))) };
}

const STEPS = [
  10, 20, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600,
].map((seconds) => seconds * SECOND);

/** The width of the steps to ask for: about 120 to a window, a multiple of the resolution. */
export function stepFor(widthMs: number): number {
  return STEPS.find((step) => widthMs / step <= 125) ?? 21_600 * SECOND;
}

/** How often a live window of this width is asked for anew. */
export function refreshEvery(widthMs: number): number {
  if (widthMs <= 15 * MINUTE) return 5 * SECOND;
  if (widthMs <= HOUR) return 10 * SECOND;
  return widthMs <= DAY ? 30 * SECOND : MINUTE;
}

function clampWidth(ms: number): number {
  return Math.min(WIDEST, Math.max(NARROWEST, ms));
}

function fitted(fromMs: number, toMs: number): { fromMs: number; toMs: number } {
  const width = clampWidth(toMs - fromMs);
  const begin = Math.max(0, toMs - fromMs < width ? Math.round((fromMs + toMs - width) / 2) : toMs - width);
  return { fromMs: begin, toMs: begin + width };
}
