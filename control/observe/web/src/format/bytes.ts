import { significant } from './number';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes in IEC units: `1.5 KiB`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return '–';
  let size = value;
  let unit = 0;
  // 1023.95 KiB would round to 1,024 KiB.
  while (Math.abs(size) >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 && Number.isInteger(size) ? String(size) : significant(size)} ${units[unit]}`;
}

/** Bytes per second: `12.3 KiB/s`. */
export function bytesRate(value: number): string {
  return `${bytes(value)}/s`;
}
