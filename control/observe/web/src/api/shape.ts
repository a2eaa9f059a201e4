// Reads JSON of the API into values that are whole: what is absent is 0, "", false or empty, as
// docs/observe.md has it, and what has another type than expected is taken as absent.

export type Read<T> = (json: unknown) => T;
export type Of<R> = R extends Read<infer T> ? T : never;

export const num: Read<number> = (json) => {
  // 64-bit integers may come as text.
  const value = typeof json === 'string' && json !== '' ? Number(json) : json;
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
};

export const text: Read<string> = (json) => (typeof json === 'string' ? json : '');

export const flag: Read<boolean> = (json) => json === true;

export function list<T>(of: Read<T>): Read<T[]> {
  return (json) => (Array.isArray(json) ? json.map(of) : []);
}

type Fields = Record<string, Read<unknown>>;
type Whole<F extends Fields> = { [K in keyof F]: Of<F[K]> };

export function shape<F extends Fields>(fields: F): Read<Whole<F>> {
  const entries = Object.entries(fields);
  return (json) => {
    const from = (json !== null && typeof json === 'object' ? json : {}) as Record<string, unknown>;
    const whole: Record<string, unknown> = {};
    for (const [key, read] of entries) whole[key] = read(from[key]);
    return whole as Whole<F>;
  };
}
