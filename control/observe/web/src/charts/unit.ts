// What a chart measures: how its numbers are written, and where its axis is marked.
import { bytes, bytesRate } from '../format/bytes';
import { micros } from '../format/duration';
import { count, percent, rate, significant } from '../format/number';

export interface Unit {
  /** In the heading of the chart and of its table. */
  name: string;
  write: (value: number) => string;
  /** Distances at which an axis may be marked; those of ten by default. */
  steps?: number[];
  /** The axis reaches at least so far: so that noise does not look like much. */
  least?: number;
}

const binary: number[] = [];
for (let e = 0; e <= 50; e++) binary.push(2 ** e);

const durations = [1, 2, 5].flatMap((n) => [1, 10, 100, 1e3, 1e4, 1e5].map((ten) => n * ten))
  .concat([1e6, 2e6, 5e6, 1e7, 3e7, 6e7, 3e8, 6e8, 3.6e9, 8.64e10])
  .sort((a, b) => a - b);

const ratesOf = (what: string): Unit => ({ name: `${what}/s`, write: rate, least: 0.1 });

export const units = {
  connections: ratesOf('connections'),
  requests: ratesOf('requests'),
  handshakes: ratesOf('handshakes'),
  decisions: ratesOf('decisions'),
  bytesRate: { name: 'bytes/s', write: bytesRate, steps: binary },
  bytes: { name: 'bytes', write: bytes, steps: binary },
  micros: { name: 'time', write: micros, steps: durations },
  count: { name: 'number', write: count, steps: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7] },
  cpu: { name: '% of one core', write: (value: number) => `${significant(value)} %`, least: 1 },
  part: { name: '%', write: percent, least: 0.02 },
} satisfies Record<string, Unit>;
