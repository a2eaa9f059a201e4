import { significant } from './number';

/** A short duration given in microseconds: `850 µs`, `1.2 ms`, `3.45 s`, `2 m 5 s`. */
export function micros(us: number): string {
  if (!Number.isFinite(us)) return '–';
  if (us === 0) return '0';
  const size = Math.abs(us);
  if (size < 999.5) return `${significant(us)} µs`;
  if (size < 999_500) return `${significant(us / 1e3)} ms`;
  if (size < 59_950_000) return `${significant(us / 1e6)} s`;
  return span(us / 1e3);
}

/** A span given in milliseconds in its two largest units: `2 m 5 s`, `3 h`, `5 d 4 h`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const sign = ms < 0 ? '-' : '';
  let rest = Math.round(Math.abs(ms) / 1000);
  if (rest < 1) return Math.abs(ms) < 1 ? '0 s' : `${sign}<1 s`;
  // Seconds mean nothing beside days.
  if (rest >= 31_536_000) rest = Math.round(rest / 86_400) * 86_400;
  else if (rest >= 86_400) rest = Math.round(rest / 3600) * 3600;
  else if (rest >= 3600) rest = Math.round(rest / 60) * 60;
  const parts: string[] = [];
  for (const [size, name] of [[31_536_000, 'y'], [86_400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']] as const) {
    const whole = Math.floor(rest / size);
    if (whole > 0) parts.push(`${whole} ${name}`);
    rest -= whole * size;
  }
  return sign + parts.slice(0, 2).join(' ');
}

/** How long ago, or how long until: `2 m 5 s ago`, `in 3 h`, `now`. */
export function relative(atMs: number, nowMs: number): string {
  const ago = nowMs - atMs;
  if (Math.abs(ago) < 1000) return 'now';
  return ago > 0 ? `${span(ago)} ago` : `in ${span(-ago)}`;
}
