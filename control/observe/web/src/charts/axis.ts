import { clock, day, minute } from '../format/time';
import { DAY, HOUR, MINUTE, SECOND } from '../state/window';

/** Distances at which a time axis may be marked. */
export const TIME_STEPS = [
  SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE,
  10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY,
  2 * DAY, 7 * DAY,
];

/** The distance of marks in a window, so that there are at most `most`. */
export function timeStep(fromMs: number, toMs: number, most: number): number {
  return TIME_STEPS.find((one) => (toMs - fromMs) / one <= most) ?? 7 * DAY;
}

/** The moments to mark in a window: whole ones in the viewer's time zone. */
export function timeMarks(fromMs: number, toMs: number, step: number): number[] {
  const offset = new Date(fromMs).getTimezoneOffset() * MINUTE;
  const marks: number[] = [];
  for (let at = Math.ceil((fromMs - offset) / step) * step + offset; at <= toMs; at += step) marks.push(at);
  return marks;
}

/** How such a mark reads: the day at midnight, seconds only where there are any. */
export function timeMark(ms: number, stepMs: number): string {
  const text = clock(ms);
  if (text === '00:00:00') return day(ms).slice(5);
  return stepMs < MINUTE ? text : minute(ms);
}
