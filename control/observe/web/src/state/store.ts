import { useEffect, useState } from 'preact/hooks';

/** A value that tells who listens when it changes. */
export interface Store<T> {
  get(): T;
  set(next: T): void;
  listen(told: (value: T) => void): () => void;
}

export function store<T>(first: T): Store<T> {
  let value = first;
  const listeners = new Set<(value: T) => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const told of [...listeners]) told(value);
    },
    listen(told) {
      listeners.add(told);
      return () => void listeners.delete(told);
    },
  };
}

/** The value of a store, drawn anew when it changes. */
export function useStore<T>(from: Store<T>): T {
  const [value, setValue] = useState(() => from.get());
  useEffect(() => {
    // It may have changed between drawing and listening.
    setValue(() => from.get());
    return from.listen((next) => setValue(() => next));
  }, [from]);
  return value;
}
