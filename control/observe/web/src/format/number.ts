// Numbers as people read them. All answers are of one language: the application speaks English.

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** A whole number with thousands separators: `12,345`. */
export function count(value: number): string {
  return Number.isFinite(value) ? grouped.format(Math.round(value)) : '–';
}

/** Three significant digits, never more than the number has: `0.12`, `3.4`, `56.7`, `1,234`. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 99.95) return grouped.format(Math.round(value));
  const places = size >= 9.995 ? 1 : 2;
  const text = value.toFixed(places);
  // What would read as 0 is not 0.
  if (Number(text) === 0) return value > 0 ? '<0.01' : '>-0.01';
  return text.replace(/\.?0+$/, '');
}

/** Per second: `1,234/s`. */
export function rate(value: number): string {
  return `${significant(value)}/s`;
}

/** A part of one as percents: 0.0123 is `1.23 %`. */
export function percent(part: number): string {
  if (!Number.isFinite(part)) return '–';
  return `${significant(part * 100)} %`;
}

/** `1 pod`, `2 pods`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
